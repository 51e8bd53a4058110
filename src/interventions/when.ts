/** @file When a document is carried out on a prompt: always, on those that hold a text, or on those whose activations reach a threshold. */
import { isAbsolute, join } from 'node:path';
import { InputError, patternRisk } from '../base/index.ts';
import type { InterventionDocument, InterventionWhen } from '../contracts/index.ts';
import { type LanguageModel, parseHookName } from '../models/index.ts';
import { activations } from './donor.ts';
import { norm } from './ops.ts';
import { type Resolvers, readerOf } from './resolvers.ts';
import { type PromptTokens, promptTokens, selectTokens } from './select.ts';
import { readVector } from './steering-file.ts';

type ActivationWhen = Extract<InterventionWhen, { activation: unknown }>['activation'];

/** Whether the document is carried out, a prompt. Throws {@link InputError} for a pattern, hook, vector or model that cannot be used. */
export async function firesOn(
  model: LanguageModel,
  { when = 'always' }: Pick<InterventionDocument, 'when'>,
  prompts: readonly PromptTokens[],
  resolvers: Resolvers,
): Promise<boolean[]> {
  if (when === 'always') return prompts.map(() => true);
  if ('activation' in when) {
    const scores = await activationScores(model, when.activation, prompts, resolvers);
    return scores.map((score) => score >= when.activation.threshold);
  }
  const { text, pattern } = when.span;
  const expression = pattern === undefined ? undefined : compiled(pattern);
  return prompts.map((prompt) => {
    if (prompt.text === undefined)
      throw new InputError('intervention: when.span needs prompts given as text, got token ids', {
        id: 'intervention-invalid',
      });
    return expression === undefined ? prompt.text.includes(text!) : expression.test(prompt.text);
  });
}

/** The largest h·v/‖v‖ over the positions looked at, a prompt. The model that reads them is the condition's own where it names one. */
export async function activationScores(
  target: LanguageModel,
  { hook, vector, tokens = { prompt: 'all' }, ...named }: Omit<ActivationWhen, 'threshold'>,
  prompts: readonly PromptTokens[],
  resolvers: Resolvers,
): Promise<number[]> {
  const where = `when.activation (${hook})`;
  const model = await readerOf(named, target, resolvers, where);
  parseHookName(hook, model.nLayers);
  const direction = await directionOf(vector, resolvers);
  const d = model.config.dModel;
  if (direction.length !== d || norm(direction) === 0)
    throw new InputError(
      `${where}: wanted a vector of ${d} numbers, not all 0, got ${direction.length} of length ${norm(direction)}`,
      { id: 'vector-invalid' },
    );
  const rows = prompts.map((prompt) => {
    const own =
      model === target || prompt.text === undefined
        ? prompt
        : promptTokens(model.tokenizer, prompt.text, prompt.addSpecialTokens);
    return { ids: own.ids, positions: selectTokens(tokens, own, model.tokenizer, where).prompt };
  });
  const found = await activations(model, hook, rows, resolvers.donorBatch ?? 16);
  return found.map((values) => highestComponent(values, direction));
}

/** The largest h·v/‖v‖ among activations [positions, D], in float64. */
export function highestComponent(values: Float32Array, direction: Float32Array): number {
  const d = direction.length;
  const length = norm(direction);
  let most = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < values.length; at += d) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += values[at + j] * direction[j];
    most = Math.max(most, sum / length);
  }
  return most;
}

/**
 * Whether every text that the document's edits look for or replace is in the prompt. A prompt given as ids has no text to look in, and
 * counts as one that has them: the edits then say what they need.
 */
export function holdsTexts({ interventions }: InterventionDocument, { text }: PromptTokens): boolean {
  if (text === undefined) return true;
  return interventions.every((edit) => {
    const { match } = edit.tokens;
    const source = 'vector' in edit && edit.vector.from === 'run' ? edit.vector : undefined;
    const wanted = [
      ...(match === undefined ? [] : [typeof match === 'string' ? match : match.text]),
      ...Object.keys(source?.replace ?? {}),
    ];
    return wanted.every((part) => text.includes(part));
  });
}

/** A text that a prompt must hold for the document to be carried out on it; undefined where none is named. */
export function textOf({ when = 'always', interventions }: InterventionDocument): string | undefined {
  if (when !== 'always' && 'span' in when && when.span.text !== undefined) return when.span.text;
  const matches = interventions.flatMap(({ tokens: { match } }) => match ?? []);
  const [first] = matches.map((match) => (typeof match === 'string' ? match : match.text));
  return first;
}

/** What belongs to the prompts that fire, in the order of all prompts; `otherwise` for the rest. */
export function ofAll<T>(some: readonly T[], fires: readonly boolean[], otherwise: T): T[] {
  let at = 0;
  return fires.map((does) => (does ? some[at++] : otherwise));
}

async function directionOf(
  source: ActivationWhen['vector'],
  { folder = '' }: Resolvers,
): Promise<Float32Array> {
  if (source.from === 'inline') return Float32Array.from(source.values.flat());
  const path = isAbsolute(source.path) ? source.path : join(folder, source.path);
  return (await readVector(path, source.key)).data;
}

/** The expression of a document's pattern. One that could run for ever on a hostile prompt is refused, as in detectors. */
function compiled(pattern: string): RegExp {
  const refused = (why: string, cause?: unknown): InputError =>
    new InputError(`intervention: when.span.pattern: ${JSON.stringify(pattern)} ${why}`, {
      id: 'intervention-invalid',
      cause,
    });
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, 'u');
  } catch (cause) {
    throw refused('is not a regular expression', cause);
  }
  const risk = patternRisk(pattern, { unbounded: 2 });
  if (risk !== undefined) throw refused(`cannot be used: ${risk}; write it without`);
  return expression;
}
