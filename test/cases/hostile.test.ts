/** @file Files made to stop or mislead whoever reads them, as they were found: each ends in one typed error, at once. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { InputError } from '../../src/base/index.ts';
import { crosspatch } from '../../src/cli/crosspatch.helper.ts';
import { loadTokenizer, openCheckpoint, resolveModel, Tokenizer } from '../../src/models/index.ts';
import { readLog } from '../../src/pipeline/log.ts';
import { mergeAdapterFolder } from '../../src/train/index.ts';

const file = (name: string): string => join(import.meta.dirname, 'hostile', name);
const text = (name: string): Promise<string> => readFile(file(name), 'utf8');
let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-hostile-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The bundled model's tokenizer with this chat template. */
async function withTemplate(template: string | Uint8Array): Promise<Tokenizer> {
  const folder = await mkdtemp(join(root, 'model-'));
  await cp((await resolveModel('tiny-llama-s')).path, folder, { recursive: true });
  await writeFile(join(folder, 'chat_template.jinja'), template);
  return loadTokenizer({ folder });
}

it.each(['jinja-abort.jinja', 'jinja-hang.jinja'])('%s ends within its budget', async (name) => {
  const tokenizer = await withTemplate(await text(name));
  const from = performance.now();
  expect(() => tokenizer.applyChatTemplate([{ role: 'user', content: 'x' }])).toThrow(InputError);
  expect(performance.now() - from).toBeLessThan(3000);
});

it.each([
  ['tok-redos.json', /pattern.*a repeat of a group that holds a repeat or a choice/],
  ['tok-doubling.json', /wanted a text that its rules lengthen to at most/],
])('%s is refused', async (name, message) => {
  const json: unknown = JSON.parse(await text(name));
  const from = performance.now();
  expect(() => Tokenizer.fromJson(json).encode('a'.repeat(40))).toThrow(message);
  expect(performance.now() - from).toBeLessThan(1000);
});

it.each([
  ['recipe-alias-bomb.yaml', /:\d+:\d+: the aliases stand for more than 1000 values/],
  ['recipe-circular.yaml', /:2:11: the alias \*a stands within what it names/],
  ['recipe-proto.yaml', /:1:1: unknown key "__proto__"/],
  ['recipe-unresolved-alias.yaml', /:1:7: the alias \*x has no anchor/],
])('%s: line and column', async (name, message) => {
  const { code, err } = await crosspatch(['validate', file(name)]);
  expect(err).toMatch(message);
  expect(err).toMatch(/^error: [^\n]* \[recipe-invalid\]\n$/);
  expect(code).toBe(2);
});

it('cfg-deep: a config nested without end', async () => {
  await expect(openCheckpoint(file('cfg-deep'))).rejects.toThrow(/wanted JSON of at most 128 levels/);
});

it('gguf-u64-bos.gguf: a 64-bit id is shown, not a crash', async () => {
  const { gguf } = await openCheckpoint(file('gguf-u64-bos.gguf'), { cacheDir: root });
  await expect(loadTokenizer({ gguf: gguf! })).rejects.toThrow(
    /tokenizer\.ggml\.bos_token_id: wanted a token id below 264, got 9223372036854775808/,
  );
});

it('log-null.jsonl: a line that is null counts as absent', async () => {
  expect(readLog(await text('log-null.jsonl'))).toEqual([]);
});

it('peft-alpha-negative: an adapter of another model is refused, whatever its alpha', async () => {
  const folder = join(root, 'adapter');
  await cp(file('peft-alpha-negative'), folder, { recursive: true });
  const { path } = await resolveModel('tiny-llama-s');
  await expect(mergeAdapterFolder({ model: path, adapter: folder, out: join(root, 'm') })).rejects.toThrow(
    /lora_A\.weight: wanted \[2,128\], got \[2,8\]; the adapter belongs to another model/,
  );
});

it('a chat template that is not UTF-8, a Git LFS pointer, or begins with a byte-order mark', async () => {
  await expect(withTemplate(Buffer.from('caf\u00e9', 'latin1'))).rejects.toThrow(
    /chat_template\.jinja line 1, byte 4: wanted UTF-8 text, got the byte 0xe9/,
  );
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n';
  await expect(withTemplate(pointer)).rejects.toThrow(/Git LFS pointer; run git lfs pull/);
  const marked = await withTemplate('\ufeff{% for m in messages %}{{ m.content }}\r\n{% endfor %}');
  expect(marked.applyChatTemplate([{ role: 'user', content: 'x' }])).toBe('x\n');
});

it('experiments, interventions and triggers that are not UTF-8 are named by line and byte', async () => {
  const latin = join(root, 'latin');
  await writeFile(
    `${latin}.yaml`,
    Buffer.from('models: { source: a, target: b }\nname: caf\u00e9\n', 'latin1'),
  );
  await writeFile(`${latin}.json`, Buffer.from('{"op": "\u00e9"}', 'latin1'));
  await writeFile(`${latin}.txt`, Buffer.from('|\u00e9|\n', 'latin1'));
  const run = ['generate', '--model', 'tiny-llama-s', '--prompt', 'x', '--intervention', `${latin}.json`];
  for (const [argv, place] of [
    [['validate', `${latin}.yaml`], 'line 2, byte 10'],
    [['validate', `${latin}.json`], 'line 1, byte 9'],
    [run, 'line 1, byte 9'],
    [['probe', '--model', 'tiny-llama-s', '--triggers', `${latin}.txt`], 'line 1, byte 2'],
  ] as const) {
    const { code, err } = await crosspatch([...argv, '--quiet']);
    expect(err).toContain(`${place}: wanted UTF-8 text, got the byte 0xe9`);
    expect(code).toBe(2);
  }
});
