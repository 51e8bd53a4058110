/**
 * @file What a reviewer asks for beside the mapped vector: the target fine-tuned by LoRA on the same k labelled prompts, and the target asked
 * in words to answer as usual (docs/concepts/method.md#worth).
 */
import type { Asked, Rate } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { rate } from '../../stats/index.ts';
import { endRules } from '../arms/run.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { completeState } from '../subject/completions.ts';
import { readAnswers, type Subject, testedCases } from '../subject/subject.ts';

/** A target that is repaired. */
export interface RepairInput {
  readonly target: LanguageModel;
  /** Test prompts with the target's unpatched completions. */
  readonly subject: Subject;
  /** Labelled training prompts, as many as the largest k. */
  readonly labelled: readonly ContrastCase[];
  /** The target fine-tuned on rows. It is disposed of here, and what it was read from may go then. */
  readonly tuned: (rows: readonly RepairText[]) => Promise<LanguageModel>;
}

/** What the target is taught: a prompt as it reads it, and the answer. */
export interface RepairText {
  readonly prompt: string;
  readonly response: string;
  /** The prompt comes from a chat template. */
  readonly chat: boolean;
}

/** One k. */
export interface RepairRow {
  readonly k: number;
  /** Over T, judged as the mapped arm is. */
  readonly restoration: Rate;
  /** Share of T whose completion under the safe tag is still the target's own, word for word. */
  readonly kept: Rate;
}

/** For every k: LoRA on the first k labelled prompts, under the bad tag with the target's own safe completion as the answer. */
export async function repair(
  input: RepairInput,
  settings: { readonly ks: readonly number[]; readonly max_tokens: number },
  env: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<RepairRow[]> {
  const { target, subject, labelled } = input;
  const cases = testedCases(subject, 'bad');
  const ks = settings.ks.filter((k) => k <= labelled.length);
  const rules = endRules(target, { max_tokens: settings.max_tokens, signal: env.signal });
  const shown = labelled.slice(0, Math.max(0, ...ks));
  const answers = await completeState(target, shown, 'safe', rules);
  const rows = shown.map((c, i): RepairText => {
    const { prompt, turn } = c.states.bad;
    return { prompt, response: answers[i].text, chat: turn !== undefined };
  });
  const out: RepairRow[] = [];
  for (const [done, k] of ks.entries()) {
    env.progress({
      stage: 'repair',
      done,
      total: ks.length,
      unit: 'fine-tunes',
      message: `LoRA on ${k} prompts`,
    });
    await using repaired = await input.tuned(rows.slice(0, k));
    const [bad, safe] = [
      await completeState(repaired, cases, 'bad', rules),
      await completeState(repaired, cases, 'safe', rules),
    ];
    out.push({
      k,
      restoration: rate((await readAnswers(subject.judging, cases, bad)).map((answer) => answer.ordinary)),
      kept: rate(cases.map((c, i) => safe[i].text === c.unpatched.safe.text)),
    });
  }
  return out;
}

/** The target asked in words: T's prompts under the bad tag with `text` before them. `asked`: those prompts, in the order of the subject's. */
export async function askedFor(
  target: LanguageModel,
  subject: Subject,
  { text, asked }: { readonly text: string; readonly asked: readonly ContrastCase[] },
  options: { readonly max_tokens: number; readonly signal?: AbortSignal },
): Promise<Asked | undefined> {
  const tested = testedCases(subject, 'bad');
  if (tested.length === 0) return undefined;
  const place = new Map(subject.cases.map((c, i) => [c, i]));
  const prompts = tested.map((c) => asked[place.get(c) as number]);
  const ends = await completeState(target, prompts, 'bad', endRules(target, options));
  const read = await readAnswers(subject.judging, tested, ends);
  return {
    text,
    removal: rate(read.map((answer) => !answer.shows)),
    restoration: rate(read.map((answer) => answer.ordinary)),
  };
}
