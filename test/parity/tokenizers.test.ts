/**
 * @file 10,000 hard strings against Hugging Face for the tokenizers of Llama 3.2, Qwen 2.5/3, Gemma 3 and SmolLM2, and for those rebuilt
 * from GGUF. The tokenizer files are too large to commit: CROSSPATCH_TOKENIZERS names the folder with `<name>/tokenizer.json`,
 * CROSSPATCH_MODELS the one with the GGUF files (README.md says where they come from). Small tokenizers of the same kinds are
 * checked without them in tokenizers-small.test.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fileSource, readGguf } from '../../src/models/checkpoint/index.ts';
import { loadTokenizer, type Tokenizer } from '../../src/models/tokenizer/index.ts';

interface Golden {
  prefix: number[];
  ids: number[][];
  decoded: Record<string, string>;
}

const folder = process.env.CROSSPATCH_TOKENIZERS ?? '';
const models = process.env.CROSSPATCH_MODELS ?? '';

const read = (name: string): unknown =>
  JSON.parse(gunzipSync(readFileSync(new URL(`tokenizers/${name}.json.gz`, import.meta.url))).toString());
const strings = read('strings') as string[];

async function fromGguf(file: string): Promise<Tokenizer> {
  using source = fileSource(join(models, file));
  return loadTokenizer({ gguf: readGguf(source, file).metadata });
}

const sources: [title: string, golden: string, path: string, load: () => Promise<Tokenizer>][] = [
  ...['llama3_2', 'qwen2_5', 'qwen3', 'gemma3', 'smollm2'].map((name): (typeof sources)[number] => [
    name,
    name,
    folder && join(folder, name, 'tokenizer.json'),
    () => loadTokenizer({ folder: join(folder, name) }),
  ]),
  ...[
    ['smollm2', 'SmolLM2-135M-Instruct.Q4_1.gguf'] as const,
    ['gemma3', 'gemma-3-270m.Q4_K_M.gguf'] as const,
  ].map(([name, file]): (typeof sources)[number] => [
    `${name} from GGUF`,
    name,
    models && join(models, file),
    () => fromGguf(file),
  ]),
];

describe.each(sources)('%s', (title, goldenName, path, load) => {
  const there = existsSync(path);
  const why = there
    ? ''
    : ` — SKIPPED: set ${title.endsWith('GGUF') ? 'CROSSPATCH_MODELS' : 'CROSSPATCH_TOKENIZERS'}`;

  it.skipIf(!there)(`ids and decoded text of 10,000 strings${why}`, { timeout: 300_000 }, async () => {
    const golden = read(goldenName) as Golden;
    const tokenizer = await load();
    const wrong: string[] = [];
    let compared = 0;
    for (const [i, text] of strings.entries()) {
      // transformers adds this one token to Gemma's vocabulary; the GGUF file does not have it.
      if (title === 'gemma3 from GGUF' && text.includes('<image_soft_token>')) continue;
      const wanted = golden.ids[i];
      compared++;
      if (
        String(tokenizer.encodeIds(text)) !== String([...golden.prefix, ...wanted]) ||
        String(tokenizer.encode(text, { addSpecialTokens: false }).ids) !== String(wanted) ||
        tokenizer.decode(wanted) !== (golden.decoded[i] ?? text)
      )
        wrong.push(text);
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(9_900);
  });

  it.skipIf(!there)(`a megabyte in seconds, every offset in order${why}`, { timeout: 300_000 }, async () => {
    const tokenizer = await load();
    const text = strings.join('\n').repeat(10).slice(0, 1_000_000);
    const started = performance.now();
    const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false });
    // About one second on an idle core; the bound only has to tell linear from quadratic.
    expect(performance.now() - started).toBeLessThan(60_000);
    expect(String(ids)).toBe(String(tokenizer.encodeIds(text, { addSpecialTokens: false })));
    const disorder = offsets.findIndex(([start], i) => i > 0 && start < offsets[i - 1]?.[0]);
    expect(disorder).toBe(-1);
  });
});
