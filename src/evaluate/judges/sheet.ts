/** @file A blind sheet of completions to be rated by people: drawn evenly from a run's arms, in random order, without a name. */
import { InputError, type Rng } from '../../base/index.ts';
import type { Sample, SheetKey, SheetRow } from '../../contracts/index.ts';

/** A completion on mapped or control activations, beside what the model says of itself. */
export interface JudgedPair {
  readonly sample: Sample;
  readonly own: string;
}

/** Every judged completion of a run's fidelity, the inverses' included. */
export function judgedPairs(samples: readonly Sample[]): JudgedPair[] {
  return samples.flatMap((sample): JudgedPair[] => {
    const own = sample.trigger === 'other' ? undefined : sample.references?.[sample.trigger];
    const isJudged = ['fidelity', 'inverse-fidelity'].includes(sample.stage) && sample.arm !== 'unpatched';
    return isJudged && own !== undefined && sample.scores !== undefined ? [{ sample, own }] : [];
  });
}

/** Behaviour, trigger and arm: what means are taken over. */
export function groupOf({ stage, behaviour, trigger, arm, map }: Sample): string {
  const which = map === undefined ? arm : `${arm} ${map.kind} ${map.fit}`;
  return JSON.stringify([behaviour, trigger, stage === 'fidelity' ? which : `inverse ${which}`]);
}

/**
 * Draw `wanted` pairs, as many of every behaviour, trigger and arm as there are. Equal texts are left out (there is nothing to rate), and so is
 * a pair of texts that was drawn already. Throws {@link InputError} where nothing is left.
 */
export function drawSheet(
  pairs: readonly JudgedPair[],
  wanted: number,
  rng: Rng,
): { readonly rows: SheetRow[]; readonly key: SheetKey['pairs'] } {
  const groups = new Map<string, JudgedPair[]>();
  const seen = new Set<string>();
  for (const pair of rng.shuffle(pairs)) {
    const texts = JSON.stringify([pair.own, pair.sample.completion]);
    if (pair.own === pair.sample.completion || seen.has(texts)) continue;
    seen.add(texts);
    const group = groupOf(pair.sample);
    groups.set(group, [...(groups.get(group) ?? []), pair]);
  }
  const queues = [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, queue]) => queue);
  if (queues.length === 0)
    throw new InputError(
      'calibrate: the run has no judged completions that differ from the model’s own; wanted a run with the stage fidelity',
      { id: 'data-missing' },
    );
  const turns = Math.max(...queues.map((queue) => queue.length));
  const inTurn = Array.from({ length: turns }, (_, turn) =>
    queues.flatMap((queue) => queue.slice(turn, turn + 1)),
  );
  const drawn = rng.shuffle(inTurn.flat().slice(0, wanted));
  const rows: SheetRow[] = [];
  const key: SheetKey['pairs'] = [];
  drawn.forEach(({ sample, own }, i) => {
    const pair = i + 1;
    const completion = rng.int(2) === 0 ? 'text_1' : 'text_2';
    const [text_1, text_2] = completion === 'text_1' ? [sample.completion, own] : [own, sample.completion];
    rows.push({ pair, text_1, text_2, rating: null });
    key.push({ pair, id: sample.id, completion, scores: sample.scores });
  });
  return { rows, key };
}
