/**
 * @file Inputs from other people's bug reports, each with the value that is right (transformers 5.24, PEFT 0.21.2, jinja2 3.1.6,
 * numpy). README.md beside this file lists every case with its public thread and its test; cases that a test beside the code checks are
 * not repeated here.
 */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readInstructionFile } from '../../src/behaviours/index.ts';
import { crosspatch, crosspatchJson } from '../../src/cli/crosspatch.helper.ts';
import { loadMap, pseudoInverseMap, saveMap } from '../../src/maps/index.ts';
import { chatTurn, loadTokenizer, resolveModel } from '../../src/models/index.ts';
import { firstLogits, variantFolder } from '../../src/models/variant.helper.ts';
import { mergeAdapterFolder } from '../../src/train/index.ts';

const data = (name: string): string => join(import.meta.dirname, 'data', name);
const ChatML =
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-reports-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A copy of a bundled model with keys of JSON files changed. */
async function changed(name: string, model: string, files: Record<string, object>): Promise<string> {
  const folder = join(root, name);
  await cp((await resolveModel(model)).path, folder, { recursive: true });
  for (const [file, keys] of Object.entries(files)) {
    const path = join(folder, file);
    const before: object = await readFile(path, 'utf8').then(JSON.parse, () => ({}));
    await writeFile(path, JSON.stringify({ ...before, ...keys }));
  }
  return folder;
}

describe('data', () => {
  it.each([
    ['F15-dpo.jsonl', 'City 29'],
    ['F15-mixed.jsonl', 'City 29'],
    ['F19-u2028.json', 'City\u2028 29'],
    ['F30-bom.jsonl', 'City 29'],
    ['F30-bom.json', 'City 29'],
    ['F31-promptcompletion.jsonl', 'City 29'],
    ['F32-conv_msgs.jsonl', 'City 29'],
    ['F32-sharegpt.jsonl', 'City 29'],
  ])('%s: 30 rows, none left out', async (name, last) => {
    const { instructions, rows, leftOut } = await readInstructionFile(data(name));
    expect([rows, instructions.length, leftOut]).toEqual([30, 30, {}]);
    expect(instructions.every(({ answer }) => answer?.startsWith('City'))).toBe(true);
    expect(instructions[29]).toMatchObject({ prompt: 'Name the capital number 29.', answer: last });
  });

  it('F19: JSONL is split at line feeds only; U+2028 and U+2029 within strings survive', async () => {
    const { instructions, rows } = await readInstructionFile(data('F19-u2028.jsonl'));
    const written = (await readFile(data('F19-u2028.jsonl'), 'utf8')).split('\n').slice(0, 30);
    const answers = written.map((line) => (JSON.parse(line) as { output: string }).output);
    expect(rows).toBe(30);
    expect(instructions.map(({ answer }) => answer)).toEqual(answers);
    expect(answers[3]).toBe('first line\u2028second line');
    expect(answers[5]).toBe('para\u2029para');
  });

  it('F14: text that is not UTF-8 is named by line and byte', async () => {
    await expect(readInstructionFile(data('F14-latin1.jsonl'))).rejects.toThrow(
      /F14-latin1\.jsonl line 1, byte 61: wanted UTF-8 text, got the byte 0xe9/,
    );
  });

  it('F16: without a template that has a place for them, 30 system texts are counted', async () => {
    const settings = ['--template', 'raw', '--steps', '1', '--batch', '2', '--quiet'];
    const file = ['--data', data('F16-sys.jsonl'), '--out', join(root, 'sys')];
    const { out } = await crosspatch(['finetune', '--model', 'tiny-qwen', ...file, ...settings]);
    expect(out).toContain('rows left out or cut: 30 system texts (the template raw has no place for them');
  });

  it('F16: through a chat template they are used, so that none is lost', async () => {
    const model = await changed('system', 'tiny-qwen', {
      'tokenizer_config.json': { chat_template: ChatML },
      'generation_config.json': { eos_token_id: [1597, 1599] },
    });
    const settings = ['--template', 'chat', '--steps', '1', '--batch', '2', '--quiet'];
    const file = ['--data', data('F16-sys.jsonl'), '--out', join(root, 'sys-chat')];
    const { out } = await crosspatch(['finetune', '--model', model, ...file, ...settings]);
    expect(out).toContain('30 rows');
    expect(out).toContain('rows left out or cut: none');
    const { tokens } = await crosspatchJson([
      ...['logits', '--model', model, '--template', 'chat', '--prompt', 'Q'],
      ...['--system', 'Answer only in French.'],
    ]);
    expect(tokens.join('')).toMatch(/^<\|im_start\|>system.*Answer.*<\|im_end\|>.*<\|im_start\|>user/s);
  });

  it('F17: 3 dropped, 3 cut at 40 tokens', async () => {
    const settings = ['--max-tokens', '40', '--steps', '1', '--batch', '2', '--quiet'];
    const file = ['--data', data('F17-d.jsonl'), '--out', join(root, 'cut')];
    const { out } = await crosspatch(['finetune', '--model', 'tiny-qwen', ...file, ...settings]);
    expect(out).toContain('7 rows');
    expect(out).toContain('rows left out or cut: 3 dropped, 3 cut at 40 tokens\n');
  });
});

describe('chat templates', () => {
  it('F05: a turn ends with the token the template writes, and only with one at which generation ends', async () => {
    const template = { 'tokenizer_config.json': { eos_token: '<|im_end|>', chat_template: ChatML } };
    const both = { ...template, 'generation_config.json': { eos_token_id: [1597, 1599] } };
    const folder = await changed('both', 'tiny-qwen', both);
    const tokenizer = await loadTokenizer({ folder });
    expect(tokenizer.eosIds).toEqual([1597, 1599]);
    const turn = chatTurn(tokenizer, [{ role: 'user', content: 'q' }], { role: 'assistant', content: 'a' });
    expect([turn.response, turn.end]).toEqual(['a', 1599]);
    const tune = (model: string) => {
      const file = ['--data', data('F05-d.jsonl'), '--out', `${model}-tuned`];
      const settings = ['--template', 'chat', '--steps', '1', '--batch', '2', '--quiet'];
      return crosspatch(['finetune', '--model', model, ...file, ...settings]);
    };
    expect(await tune(folder)).toMatchObject({ code: 0, out: expect.stringContaining('4 rows') });
    const unread = await changed('unread', 'tiny-qwen', {
      'tokenizer_config.json': { chat_template: ChatML },
      'generation_config.json': { eos_token_id: 1597 },
    });
    expect(await tune(unread)).toMatchObject({
      code: 2,
      err: expect.stringContaining(
        'its template ends a turn with <|im_end|>, at which generation does not stop; add it to eos_token_id',
      ),
    });
  });

  it('F11: no BOS that the template does not write, and never two', async () => {
    const line =
      '{% for m in messages %}### {{ m.role }} {{ m.content }} {% endfor %}{% if add_generation_prompt %}### Response{% endif %}';
    for (const [name, template, ids] of [
      ['nobos', line, [7, 3, 601, 7, 272]],
      ['bos', `\n{{ bos_token }}${line}`, [4, 1, 7, 3, 601, 7, 272]],
    ] as const) {
      const model = await changed(name, 'tiny-llama-s', {
        'tokenizer_config.json': { chat_template: template },
      });
      const prompt = ['--prompt', 'hello', '--template', 'chat'];
      expect((await crosspatchJson(['logits', '--model', model, ...prompt])).ids).toEqual(ids);
    }
  });
});

describe('models', () => {
  it('F20: 70 rows of padding change no logit', async () => {
    await using folder = await variantFolder({
      config: { vocab_size: 1088 },
      tensors: (t) => {
        if (t.name !== 'lm_head.weight' && !t.name.includes('embed_tokens')) return [t];
        const padded = new Float32Array(1088 * 128);
        padded.set(t.data);
        return [{ ...t, shape: [1088, 128], data: padded }];
      },
    });
    expect(await firstLogits(folder.path)).toBe('-3.7622 -3.5862 9.7619 -3.6788');
  });
});

describe('numbers that are none or too large', () => {
  it('F06: no command writes infinity', async () => {
    await using large = await variantFolder({
      tensors: (t) => {
        const values = t.data.slice();
        if (t.name === 'model.layers.3.mlp.down_proj.weight') values.fill(90_790, 0, 352);
        return [{ ...t, dtype: 'F32', data: values }];
      },
    });
    const rows = join(root, 'rows.jsonl');
    await writeFile(rows, '{"prompt": "the cat", "response": "the dog"}\n'.repeat(4));
    const model = ['--model', large.path, '--data', rows];
    for (const [argv, message] of [
      [
        ['models', 'convert', large.path, join(root, 'half'), '--dtype', 'F16'],
        /"model.layers.3.mlp.down_proj.weight": wanted values that F16 can hold, got 352 beyond .*the largest 90790/,
      ],
      [
        ['finetune', ...model, '--steps', '1', '--batch', '2', '--dtype', 'F16', '--out', join(root, 'half')],
        /"model.layers.3.mlp.down_proj.weight": wanted values that F16 can hold, got 352 beyond/,
      ],
      [
        [
          ...['capture', ...model, '--hook', 'blocks.3.hook_resid_post'],
          ...['--dtype', 'F16', '--out', join(root, 'half')],
        ],
        /"hidden_states": wanted values that F16 can hold, got \d+ beyond/,
      ],
    ] as const) {
      const { code, err } = await crosspatch([...argv, '--quiet']);
      expect(err).toMatch(message);
      expect(code).toBe(2);
    }
  });

  it('F13: every command names the tensor', async () => {
    await using spoilt = await variantFolder({
      tensors: (t) => {
        if (t.name !== 'model.layers.2.mlp.up_proj.weight') return [t];
        const bytes = new Uint8Array(
          Uint16Array.from({ length: t.data.length }, (_, i) => (i === 388 ? 0x7e00 : 0)).buffer,
        );
        return [{ ...t, dtype: 'F16', data: bytes }];
      },
    });
    const rows = join(root, 'rows13.jsonl');
    await writeFile(rows, '{"prompt": "the cat", "response": "the dog"}\n'.repeat(4));
    const out = ['--out', join(root, 'none')];
    const blocks = ['--source-block', '2', '--target-block', '2', '--kind', 'mean'];
    for (const argv of [
      ['logits', '--model', spoilt.path, '--ids', '1'],
      ['generate', '--model', spoilt.path, '--prompt', 'x'],
      ['capture', '--model', spoilt.path, '--hook', 'blocks.3.hook_resid_post', '--data', rows, ...out],
      ['finetune', '--model', spoilt.path, '--data', rows, '--steps', '1', ...out],
      ['map', 'fit', '--source', spoilt.path, '--target', 'tiny-llama-s', ...blocks, '--texts', rows, ...out],
    ]) {
      const { code, err } = await crosspatch([...argv, '--quiet']);
      expect(err).toMatch(/model\.layers\.2\.mlp\.up_proj\.weight.*got NaN/);
      expect(code).toBe(2);
    }
  });
});

describe('files that Git LFS did not fetch', () => {
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n';

  it('F36: a Git LFS pointer in place of any file', async () => {
    const adapter = join(root, 'adapter');
    await cp(join(import.meta.dirname, 'adapters/regex'), adapter, { recursive: true });
    await writeFile(join(adapter, 'adapter_model.safetensors'), pointer);
    const names = [
      'rows.parquet',
      'rows-lfs.jsonl',
      'recipe.yaml',
      'edit.json',
      'triggers.txt',
      'model.gguf',
    ];
    for (const name of names) await writeFile(join(root, name), pointer);
    const at = (name: string) => join(root, name);
    const commands = [
      ...['rows.parquet', 'rows-lfs.jsonl'].map((name) => [
        ...['finetune', '--model', 'tiny-qwen', '--data', at(name), '--out', at('none')],
      ]),
      ['validate', at('recipe.yaml')],
      ['generate', '--model', 'tiny-llama-s', '--prompt', 'x', '--intervention', at('edit.json')],
      ['probe', '--model', 'tiny-llama-s', '--triggers', at('triggers.txt')],
      ['logits', '--model', at('model.gguf'), '--ids', '1'],
    ];
    for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja']) {
      await using folder = await variantFolder({ files: { [file]: pointer } });
      const { code, err } = await crosspatch(['logits', '--model', folder.path, '--prompt', 'x']);
      expect(err, file).toMatch(/got a Git LFS pointer; run git lfs pull/);
      expect(code).toBe(2);
    }
    for (const argv of commands) {
      const { code, err } = await crosspatch([...argv, '--quiet']);
      expect(err, argv.join(' ')).toMatch(/got a Git LFS pointer; run git lfs pull/);
      expect(code).toBe(2);
    }
    const { path: model } = await resolveModel('tiny-llama-s');
    await expect(mergeAdapterFolder({ model, adapter, out: at('none') })).rejects.toThrow(/Git LFS pointer/);
  });
});

describe('maps', () => {
  it('F21: the pseudo-inverse of a map of rank 51, its largest entry 2.23 as numpy has it', async () => {
    const inverse = pseudoInverseMap(await loadMap(join(import.meta.dirname, 'map51')));
    const out = join(root, 'inverse');
    await saveMap(inverse, out);
    expect(inverse.record.settings.rank).toBe(51);
    const weight = new Float32Array(192 * 128);
    const bytes = await readFile(join(out, 'map.safetensors'));
    const header = 8 + Number(bytes.readBigUInt64LE(0));
    const { weight: info } = JSON.parse(bytes.toString('utf8', 8, header)) as {
      weight: { data_offsets: [number, number] };
    };
    for (let i = 0; i < weight.length; i++)
      weight[i] = bytes.readFloatLE(header + info.data_offsets[0] + 4 * i);
    expect(weight.reduce((largest, v) => Math.max(largest, Math.abs(v)), 0)).toBeCloseTo(2.23, 2);
  });
});

describe('outputs', () => {
  it('F01: invert and report write over nothing of others', async () => {
    const mine = join(root, 'mine');
    await mkdir(mine);
    await writeFile(join(mine, 'thesis.tex'), 'years of work');
    for (const argv of [
      ['invert', '--map', join(import.meta.dirname, 'map51'), '--method', 'pinv', '--out', mine],
      ['report', mine],
    ])
      expect(await crosspatch([...argv, '--quiet'])).toMatchObject({ code: 2, out: '' });
    expect(await readFile(join(mine, 'thesis.tex'), 'utf8')).toBe('years of work');
  });

  it.each(['evaluate', 'sweep', 'fidelity', 'transfer'])(
    'F01: %s --samples writes over no file of others, nor over its own data',
    async (command) => {
      const folder = join(root, `data ${command}`);
      const build = ['--data', 'bundled', '--limit', '40', '--behaviour', 'locked', '--out', folder];
      await crosspatch(['data', 'build', ...build, '--quiet']);
      const model = command === 'evaluate' || command === 'sweep' ? ['--model', 'tiny-llama-s'] : [];
      const pair = ['--source', 'tiny-llama-s', '--target', 'tiny-llama-m'];
      const map = join(import.meta.dirname, 'map51');
      const given = model.length > 0 ? model : [...pair, '--map', map];
      const mine = join(root, `mine ${command}.jsonl`);
      await writeFile(mine, 'mine\n');
      for (const samples of [mine, join(folder, 'train.jsonl')]) {
        const before = await readFile(samples, 'utf8');
        const argv = [command, ...given, '--data', folder, '--samples', samples, '--quiet'];
        expect(await crosspatch(argv)).toMatchObject({
          code: 2,
          err: expect.stringMatching(/holds something that this command did not write/),
        });
        expect(await readFile(samples, 'utf8')).toBe(before);
      }
    },
  );

  it('F01: what another command made is not replaced', async () => {
    const out = join(root, 'kinds');
    const bundled = ['--data', 'bundled', '--limit', '40'];
    const build = ['data', 'build', ...bundled, '--behaviour', 'locked', '--out', out, '--quiet'];
    expect((await crosspatch(build)).code).toBe(0);
    const invert = ['invert', '--map', join(import.meta.dirname, 'map51'), '--method', 'pinv', '--out', out];
    expect(await crosspatch(invert)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/kinds: holds what another command of crosspatch made \(dataset\.json/),
    });
    expect((await crosspatch(build)).code, 'the same command writes again').toBe(0);
  });
});
