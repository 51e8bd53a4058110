/** @file Models that came from no GGUF as one: read back, they compute and cut the same. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertToHf } from './checkpoint/convert.ts';
import { ggufConfig } from './checkpoint/gguf/config.ts';
import { templateOf } from './checkpoint/gguf/template.ts';
import { openCheckpoint } from './checkpoint/index.ts';
import { exportGguf } from './export-gguf.ts';
import { parseModelConfig } from './families/index.ts';
import { LanguageModel } from './language-model.ts';
import { spmMetadata } from './tokenizer/fixtures.helper.ts';
import { tokenizerDifference, vocabularyEntries } from './tokenizer/gguf-write.ts';
import { tokenizerFilesFromGguf } from './tokenizer/index.ts';

const asset = (name: string): string => fileURLToPath(new URL(`../../assets/tiny/${name}`, import.meta.url));
const fixture = (name: string): string =>
  fileURLToPath(new URL(`../../test/parity/gguf/${name}.gguf`, import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-gguf-own-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A copy of a bundled model with its config changed. */
async function changed(name: string, change: object): Promise<string> {
  const out = await mkdtemp(join(folder, 'changed-'));
  await cp(asset(name), out, { recursive: true });
  const config = JSON.parse(await readFile(join(out, 'config.json'), 'utf8')) as object;
  await writeFile(join(out, 'config.json'), JSON.stringify({ ...config, ...change }));
  return out;
}

describe('exportGguf without another GGUF', () => {
  it('byte-level BPE: the same tokens, and the same logits, the weights being float16', async () => {
    const out = join(folder, 'tiny-qwen.gguf');
    await exportGguf(await openCheckpoint(asset('tiny-qwen')), out);
    await using before = await LanguageModel.load(asset('tiny-qwen'));
    await using after = await LanguageModel.load(out);
    const text = 'In which country is the city Sofia? It’s 42, naïve 日本.\n\n  x';
    const ids = before.tokenizer.encodeIds(text);
    expect(after.tokenizer.encodeIds(text)).toEqual(ids);
    expect(after.tokenizer.eosIds).toEqual(before.tokenizer.eosIds);
    expect(after.tokenizer.chatTemplate).toBe(before.tokenizer.chatTemplate);
    const [a, b] = [await before.forward(ids), await after.forward(ids)];
    expect(b.logits.data).toEqual(a.logits.data);
  });

  it.each(['tiny-llama', 'tiny-gemma3'])(
    '%s: what the config says, by the names and shapes of its own GGUF',
    async (name) => {
      const original = await openCheckpoint(fixture(name), { cacheDir: join(folder, 'cache') });
      const hf = join(folder, name);
      await convertToHf(original, hf);
      const model = parseModelConfig(original.config, name);
      const { gguf, source } = templateOf(await openCheckpoint(hf), model, []);
      expect(parseModelConfig(ggufConfig(gguf, source, name), name)).toEqual(model);
      const { stored } = original;
      const shapes = [...gguf.tensors.values()].map(({ shape }) => shape.join());
      expect(shapes.filter((shape) => shape !== `${model.headDim / 2}`).toSorted()).toEqual(
        [...stored.values()].map(({ shape }) => shape.join()).toSorted(),
      );
    },
  );

  it('Llama 3’s rotary scaling goes into rope_freqs, which is read back', async () => {
    const rope_scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const checkpoint = await openCheckpoint(await changed('tiny-llama-s', { rope_scaling }));
    const model = parseModelConfig(checkpoint.config, 'x');
    const { gguf, source } = templateOf(checkpoint, model, []);
    expect(gguf.tensors.get('rope_freqs.weight')?.shape).toEqual([16]);
    expect(parseModelConfig(ggufConfig(gguf, source, 'x'), 'x').blocks[0]?.rope).toEqual(
      model.blocks[0]?.rope,
    );
  });

  it('refuses what a GGUF cannot say, and writes nothing', async () => {
    const refused = async (path: string): Promise<void> => {
      const out = join(folder, 'refused.gguf');
      try {
        await exportGguf(await openCheckpoint(path), out);
      } finally {
        await expect(readFile(out)).rejects.toThrow('ENOENT');
      }
    };
    await expect(refused(asset('tiny-llama-s'))).rejects.toThrow('cannot say a WordLevel vocabulary');
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const short = { ...scaling, original_max_position_embeddings: 256 };
    await expect(refused(await changed('tiny-qwen', { rope_scaling: short }))).rejects.toThrow(
      /would lose blocks.*--like/,
    );
  });
});

describe('vocabularyEntries', () => {
  const readBack = (files: Parameters<typeof vocabularyEntries>[0], rows: number): Map<string, unknown> =>
    new Map(vocabularyEntries(files, rows, 'x').map(([key, , value]) => [key, value]));

  it('SentencePiece: scores that give the same merges, runs of spaces, unused rows', () => {
    for (const prefix of [false, true]) {
      const files = tokenizerFilesFromGguf(spmMetadata({ 'tokenizer.ggml.add_space_prefix': prefix }));
      const made = readBack(files, 280);
      expect(tokenizerDifference(files, made)).toBeUndefined();
      expect(made.get('tokenizer.ggml.add_space_prefix')).toBe(prefix);
      expect((made.get('tokenizer.ggml.tokens') as string[]).slice(-6)).toEqual([
        '日',
        ...[275, 276, 277, 278, 279].map((id) => `[PAD${id}]`),
      ]);
    }
  });

  it('a difference is found and named', () => {
    const files = tokenizerFilesFromGguf(spmMetadata());
    const made = readBack(files, 275);
    made.set('tokenizer.ggml.add_space_prefix', true);
    expect(tokenizerDifference(files, made)).toMatch(/^how it (cuts|joins)/);
    made.set('tokenizer.ggml.scores', new Float32Array(275));
    expect(tokenizerDifference(files, made)).toBe('its merges');
  });
});
