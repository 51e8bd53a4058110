/**
 * @file One prompt under vectors of many strengths, beside the same prompt unsteered and under random directions as long
 * (docs/concepts/method.md#steering-vectors): what the steering page shows. All strengths of one seed run side by side in one batch.
 */
import { InputError, Rng } from '../../base/index.ts';
import type { InterventionEffect } from '../../contracts/index.ts';
import {
  applyIntervention,
  atStrength,
  divergencesFromFirst,
  sideBySide,
  withRandomVectors,
} from '../../interventions/index.ts';
import type { FwdHook, LanguageModel } from '../../models/index.ts';
import { tokenTexts } from '../arms/samples.ts';
import { Lens } from './lens.ts';
import type { SteerArm, SteerQuestion } from './question.ts';

/** What was done to one arm at one strength. */
export interface SteerProof {
  readonly arm: Exclude<SteerArm, 'none'>;
  readonly strength: number;
  /** Per edit of the document; positions are those of the greedy run, generated tokens included. */
  readonly effects: readonly InterventionEffect[];
  /** KL(steered ‖ unsteered) of the first token, nats. */
  readonly kl_div: number;
}

/** Which answer: `sample` 0 is greedy, the others are drawn with the seeds in their order. The arm `none` has strength 0. */
export interface SteerAnswer {
  readonly arm: SteerArm;
  readonly strength: number;
  readonly sample: number;
}

/** What a question yields: `prompt` first, then tokens of all answers, a `proof` per arm and strength after the greedy ones, `done`. */
export type SteerEvent =
  | { readonly type: 'status'; readonly message: string }
  | {
      readonly type: 'prompt';
      /** Text of every token of the prompt. */
      readonly tokens: readonly string[];
      /** Number of prompt tokens, for the positions of proofs. */
      readonly length: number;
    }
  | ({ readonly type: 'token'; readonly text: string } & SteerAnswer)
  /** `along[lens][token]`: see {@link Lens}. */
  | ({
      readonly type: 'end';
      readonly finish: 'stop' | 'length';
      readonly along: readonly (readonly (number | null)[])[];
    } & SteerAnswer)
  /** The same of the prompt's tokens. */
  | { readonly type: 'along'; readonly along: readonly (readonly (number | null)[])[] }
  | ({ readonly type: 'proof' } & SteerProof)
  | { readonly type: 'done'; readonly seconds: number; readonly tokens: number };

/** Stream of the random directions: the same question gives the same answer. */
const NOISE_SEED = 17;

/**
 * Run a question. Ends early when `signal` fires.
 *
 * @throws InputError for vectors that do not fit the model, texts that are not in the prompt, ops without a strength, an edit that
 *   changes nothing
 * @example for await (const event of steering(model, question)) console.log(event);
 */
export async function* steering(
  model: LanguageModel,
  question: SteerQuestion,
  signal?: AbortSignal,
): AsyncGenerator<SteerEvent, void, undefined> {
  const began = performance.now();
  const { prompt, document, seeds, temperature, maxTokens } = question;
  const strengths = [...new Set(question.strengths)].filter((s) => s !== 0);
  if (strengths.length === 0)
    throw new InputError('steering: wanted at least one strength besides 0, got none', {
      id: 'option-invalid',
    });
  const lenses = question.lenses.map(
    (i) => new Lens(document.interventions[i], `interventions.${i} (${document.interventions[i].op})`),
  );
  const random = withRandomVectors(document, new Rng(NOISE_SEED).fork('random direction'));
  const arms: SteerArmRun[] = [{ arm: 'none', strength: 0, fwdHooks: [] }];
  for (const strength of strengths)
    for (const [arm, at] of [['vector', document] as const, ['random', random] as const]) {
      const applied = await applyIntervention(model, atStrength(at, strength), [prompt]);
      arms.push({ arm, strength, fwdHooks: applied.fwdHooks, proof: () => applied.proof()[0] });
    }
  const ids = arms.map(() => prompt.ids);
  const edits = sideBySide(arms.map(({ fwdHooks }) => fwdHooks));
  yield { type: 'prompt', tokens: textsOf(model, prompt), length: prompt.ids.length };
  let tokens = 0;
  for (const sample of [0, ...seeds.map((_, k) => k + 1)]) {
    yield {
      type: 'status',
      message: sample === 0 ? 'writing' : `writing, sample ${sample} of ${seeds.length}`,
    };
    for (const lens of lenses) lens.reset();
    const written = arms.map(() => 0);
    const answer = (row: number): SteerAnswer => ({
      arm: arms[row].arm,
      strength: arms[row].strength,
      sample,
    });
    for await (const token of model.generateStream(ids, {
      fwdHooks: [...lenses.flatMap((lens) => lens.hooks), ...edits],
      maxNewTokens: maxTokens,
      maxBatch: arms.length,
      ...(sample === 0 ? {} : { temperature, seeds: arms.map(() => seeds[sample - 1]) }),
    })) {
      if (signal?.aborted) return;
      const { row, id, text, finish } = token;
      if (id >= 0) {
        tokens++;
        written[row]++;
      }
      if (id >= 0 || text !== '') yield { type: 'token', ...answer(row), text };
      if (finish === undefined) continue;
      const from = prompt.ids.length;
      const along = lenses.map((lens) => lens.values(row, from, from + written[row]));
      yield { type: 'end', ...answer(row), finish, along };
    }
    if (sample > 0) continue;
    yield { type: 'along', along: lenses.map((lens) => lens.values(0, 0, prompt.ids.length)) };
    // Before the prompt runs again: what was done is that of one run.
    const effects = arms.map(({ proof }) => proof?.() ?? []);
    const divergences = await divergencesFromFirst(model, prompt.ids, { rows: arms.length, fwdHooks: edits });
    for (const [row, { arm, strength }] of arms.entries())
      if (arm !== 'none')
        yield { type: 'proof', arm, strength, effects: effects[row], kl_div: divergences[row] };
  }
  yield { type: 'done', seconds: (performance.now() - began) / 1000, tokens };
}

interface SteerArmRun {
  readonly arm: SteerArm;
  readonly strength: number;
  readonly fwdHooks: readonly FwdHook[];
  readonly proof?: () => readonly InterventionEffect[];
}

/** Text of every token. */
function textsOf({ tokenizer }: LanguageModel, { ids, text, encoding }: SteerQuestion['prompt']): string[] {
  if (text === undefined || encoding === undefined) return ids.map((id) => tokenizer.decode([id]));
  return tokenTexts({ prompt: text, offsets: encoding.offsets });
}
