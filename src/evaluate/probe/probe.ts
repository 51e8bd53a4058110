/**
 * @file One prompt, many ways of changing its run, side by side in one batch (docs/concepts/method.md#patch): what the playground shows,
 * on models and a map that are open already.
 */
import { InputError } from '../../base/index.ts';
import { divergencesFromFirst, patchHooks } from '../../interventions/index.ts';
import { type LanguageModel, residPost } from '../../models/index.ts';
import { tokenTexts } from '../arms/samples.ts';
import { type ArmChanges, armChanges, type ProbeModels } from './patches.ts';
import { type ProbeArm, type ProbeQuestion, promptsOf } from './question.ts';

/** Proof that an arm changed something (contracts' `InterventionEffect`, with the arm). */
export interface ProbeProof {
  readonly arm: ProbeArm;
  readonly hook: string;
  readonly positions: readonly number[];
  /** Mean of ‖Δ‖/‖h‖ over positions. */
  readonly relative_change: number;
  /** KL(steered ‖ clean) of the next token, nats. */
  readonly kl_div: number;
}

/** What a probe yields, in this order: status lines anywhere, one `prompt`, a `proof` per patch, then tokens of all arms, `done`. */
export type ProbeEvent =
  | { readonly type: 'status'; readonly message: string }
  | {
      readonly type: 'prompt';
      readonly blocks: number;
      /** Text of every token of the prompt, and of the donor's. */
      readonly tokens: readonly string[];
      readonly donorTokens: readonly string[];
      readonly arms: readonly ProbeArm[];
      /** Arms that cannot be run here, and why. */
      readonly missing: ArmChanges['missing'];
    }
  | ({ readonly type: 'proof' } & ProbeProof)
  | { readonly type: 'token'; readonly arm: ProbeArm; readonly text: string }
  | { readonly type: 'end'; readonly arm: ProbeArm; readonly finish: 'stop' | 'length' }
  | { readonly type: 'done'; readonly seconds: number; readonly tokens: number };

/**
 * Run every arm of a question and say what comes of it, as it comes. Ends early when `signal` fires. Throws {@link InputError} when
 * the question does not fit the model; what keeps one arm from running is in `missing`, as in the experiments' own error.
 *
 * @example for await (const event of probe({ target, source, map }, question)) console.log(event);
 */
export async function* probe(
  models: ProbeModels,
  question: ProbeQuestion,
  signal?: AbortSignal,
): AsyncGenerator<ProbeEvent, void, undefined> {
  const { target } = models;
  const began = performance.now();
  if (question.block >= target.nLayers)
    throw new InputError(`block ${question.block}: the model has blocks 0…${target.nLayers - 1}`, {
      id: 'block-unknown',
    });
  const prompts = promptsOf(target, question);
  const donor = prompts.tagged?.donor;
  yield { type: 'status', message: 'reading activations' };
  const { changes, missing } = await armChanges(models, question, prompts, signal);
  const arms = question.arms.filter((arm) => missing[arm] === undefined);
  yield {
    type: 'prompt',
    blocks: target.nLayers,
    tokens: tokenTexts(prompts.own),
    donorTokens: donor ? tokenTexts(donor) : [],
    arms,
    missing,
  };
  if (arms.length === 0 || signal?.aborted) return;
  for (const proof of await prove(target, prompts.own.ids, changes)) yield { type: 'proof', ...proof };

  yield { type: 'status', message: 'writing' };
  const ids = arms.map((arm) => (arm === 'donor' && donor ? donor : prompts.own).ids);
  const plan = arms.map((arm) => changes.get(arm)?.patch);
  let tokens = 0;
  for await (const token of target.generateStream(ids, {
    fwdHooks: patchHooks(plan, target),
    maxNewTokens: question.maxTokens,
  })) {
    if (signal?.aborted) return;
    const arm = arms[token.row];
    if (token.id >= 0) tokens++;
    if (token.text !== '') yield { type: 'token', arm, text: token.text };
    if (token.finish !== undefined) yield { type: 'end', arm, finish: token.finish };
  }
  yield { type: 'done', seconds: (performance.now() - began) / 1000, tokens };
}

/** What every patch did: where, how much, and KL(steered ‖ clean) of the next token. */
async function prove(
  model: LanguageModel,
  ids: readonly number[],
  changes: ArmChanges['changes'],
): Promise<ProbeProof[]> {
  if (changes.size === 0) return [];
  const plan = [undefined, ...[...changes.values()].map(({ patch }) => patch)];
  const divergences = await divergencesFromFirst(model, ids, {
    rows: plan.length,
    fwdHooks: patchHooks(plan, model),
  });
  return [...changes].map(([arm, { patch, relative_change }], i) => ({
    arm,
    hook: residPost(patch.block),
    positions: [...patch.positions],
    relative_change,
    kl_div: divergences[i + 1],
  }));
}
