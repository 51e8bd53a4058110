/** @file What `--dry-run` prints: the stages with what they are expected to take, and the sum. */
import { gigabytes, type PlannedStage } from '../pipeline/index.ts';
import { type Cli, type CommonOptions, printJson } from './cli.ts';
import { duration } from './progress.ts';
import { byteSize, textTable } from './table.ts';

export function printPlan(
  cli: Cli,
  options: CommonOptions,
  { stages, pull_bytes }: { readonly stages: readonly PlannedStage[]; readonly pull_bytes: number },
): void {
  const todo = stages.filter((stage) => !stage.cached);
  const sum = (key: 'seconds' | 'tokens') => todo.reduce((a, stage) => a + (stage[key] ?? 0), 0);
  const unknown = todo.filter((stage) => stage.seconds === undefined).length;
  const memory_bytes = Math.max(0, ...todo.map((stage) => stage.memory_bytes ?? 0));
  const questions = todo.reduce((a, stage) => a + (stage.questions ?? 0), 0);
  const priced = todo.flatMap(({ cost }) => cost ?? []);
  const judged = {
    questions: questions || undefined,
    cost: priced.length === 0 ? undefined : priced.reduce((a, b) => a + b, 0),
  };
  const total = {
    stages: todo.length,
    seconds: sum('seconds'),
    seconds_unknown_for: unknown,
    ...judged,
    tokens: sum('tokens'),
    memory_bytes,
    pull_bytes,
  };
  if (options.json) {
    printJson(cli, { stages, total });
    return;
  }
  const cell = (value: number | undefined, text: (n: number) => string) =>
    value === undefined ? '' : text(value);
  const rows = stages.map((s) => [
    s.id,
    s.cached ? 'stored' : 'to do',
    cell(s.seconds, duration),
    cell(s.tokens, grouped),
    cell(s.memory_bytes, gigabytes),
  ]);
  cli.out(textTable([['stage', 'state', 'expected', 'tokens', 'memory'], ...rows]));
  const known = todo.length > unknown ? [`about ${duration(total.seconds)}`] : [];
  const doubt = unknown > 0 ? [`unknown for ${unknown} (nothing of the kind has run in this store)`] : [];
  const length = todo.length === 0 ? '' : `: ${[...known, ...doubt].join(', ')}`;
  const tokens = total.tokens > 0 ? `, ${grouped(total.tokens)} tokens at most` : '';
  const peak = memory_bytes > 0 ? `, up to ${gigabytes(memory_bytes)} per stage` : '';
  const paid = judged.cost === undefined ? '' : `, which cost about ${judged.cost.toPrecision(2)}`;
  const asked = questions > 0 ? `\nThe judge is asked ${grouped(questions)} questions at most${paid}.\n` : '';
  const pulled =
    pull_bytes > 0 ? `Before them ${byteSize(pull_bytes)} of weights are pulled from the hub.\n` : '';
  cli.out(`\n${todo.length} of ${stages.length} stages to do${length}${tokens}${peak}\n${pulled}${asked}`);
}

/** 1234567 → `1,234,567`. */
function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
