/**
 * @file The blog's figures from a run folder, as the tables of docs/results/blog.md: `npx tsx scripts/studies/blog.ts RUN`. Each heading names the
 * figures of "Purging Corrupted Capabilities across Language Models" that its table answers.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BehaviourResults,
  type FidelityScores,
  figureValue,
  type MapCurves,
  resultsSchema,
  type Sample,
  type SweepRow,
} from '../../src/contracts/index.ts';
import { readSamples } from '../../src/pipeline/index.ts';
import { bare, cell, print, quoted, type Row, short, table } from './markdown.ts';

const FIDELITY_ARMS = ['mapped', 'mean_ablated', 'shuffled', 'token_mean', 'random', 'ceiling'] as const;

const [run] = process.argv.slice(2);
if (run === undefined) throw new Error('wanted a run folder: npx tsx scripts/studies/blog.ts RUN');
const results = resultsSchema.parse(JSON.parse(await readFile(join(run, 'results.json'), 'utf8')));
const samples = await readSamples(run);
for (const behaviour of results.behaviours) {
  const mine = samples.filter((sample) => sample.behaviour === behaviour.pair.behaviour);
  print(`# ${behaviour.pair.behaviour}, ${behaviour.pair.placement}`);
  backdoors(behaviour);
  sweeps(behaviour);
  maps(behaviour);
  curves(behaviour);
  fidelity(behaviour);
  transfer(behaviour);
  inverses(behaviour);
  worth(behaviour);
  examples(mine);
}
table(
  'Seconds by stage',
  ['stage', 's'],
  Object.entries(results.timings).map(([stage, s]) => [stage, Math.round(s)]),
);
print(`Peak memory ${(results.peak_memory_bytes / 1e9).toFixed(2)} GB.`);

function backdoors({ backdoor = {} }: BehaviourResults): void {
  table(
    'The backdoors',
    ['model', 'bad tag', 'safe tag', 'no tag', 'unseen tag', 'n'],
    (['source', 'target'] as const).flatMap((side): Row[] => {
      const b = backdoor[side];
      return b === undefined
        ? []
        : [
            [
              side,
              cell(b.trigger_rate),
              cell(b.false_positive_rate),
              cell(b.untagged_rate),
              cell(b.other_tag_rate),
              b.trigger_rate.n,
            ],
          ];
    }),
  );
}

/** Native steering at every block: removal is the blog's measure, the others are ours. */
function sweeps({ sweep = {} }: BehaviourResults): void {
  for (const side of ['source', 'target'] as const)
    table(
      `Fig. 1, ${side}: steering by its own activations`,
      ['block', 'removal', 'restoration', 'elicitation', 'restoration by noise, strongest'],
      (sweep[side] ?? []).map((row) => [
        row.block,
        bare(row.removal),
        bare(row.restoration),
        bare(row.elicitation),
        strongestNoise(row),
      ]),
    );
}

function strongestNoise({ controls }: SweepRow): string {
  const noise = Object.entries(controls).flatMap(([name, outcome]) =>
    name.startsWith('random') && outcome.restoration !== undefined
      ? [{ name, value: figureValue(outcome.restoration) }]
      : [],
  );
  const best = noise.sort((a, b) => b.value - a.value)[0];
  return best === undefined ? '–' : `${short(best.value)} (${best.name})`;
}

function maps({ maps: fitted = {} }: BehaviourResults): void {
  const keys = ['fvu', 'fvu_token', 'kl_div', 'top1_agreement'] as const;
  table(
    'The maps, on test texts under the safe tag, and out of domain',
    ['map', 'fit', 'rows', 's', ...keys, 'kl_div out of domain'],
    Object.entries(fitted).flatMap(([label, fits]) =>
      Object.entries(fits).map(([fit, entry]): Row => {
        const [inside, outside] = [entry.test?.safe, entry.out_of_domain?.safe ?? entry.out_of_domain?.bad];
        return [
          label,
          fit,
          entry.rows,
          entry.fit_seconds === undefined ? '–' : short(entry.fit_seconds),
          ...keys.map((key) => bare(inside?.[key])),
          bare(outside?.kl_div),
        ];
      }),
    ),
  );
}

/** First, middle and last point of every curve. */
function curves({ maps: fitted = {} }: BehaviourResults): void {
  const keys = ['mse', 'cossim', 'kl_div', 'fvu'] as const;
  const rows = Object.entries(fitted).flatMap(([label, fits]) =>
    Object.entries(fits).flatMap(([fit, entry]) =>
      entry.curves ? pointsOf(`${label}, ${fit}`, entry.curves) : [],
    ),
  );
  function pointsOf(name: string, curve: MapCurves): Row[] {
    const last = curve.step.length - 1;
    return [...new Set([0, 1, 2, 3, 4].map((i) => Math.round((i * last) / 4)))].map((at) => [
      name,
      curve.step[at] ?? '',
      ...keys.map((key) => bare(curve[key]?.[at] ?? undefined)),
    ]);
  }
  table('Fig. 3, 10, 15: while they train', ['map', 'step', ...keys], rows);
}

function fidelity({ fidelity: byMap = {} }: BehaviourResults): void {
  table(
    'Fig. 4, 5, 11, 12, 16: fidelity, every position of the prompt but the first replaced',
    ['map', 'prompts', 'judge', ...FIDELITY_ARMS, 'n', 'd_z', 'p (Holm)'],
    Object.entries(byMap).flatMap(([label, fits]) =>
      Object.entries(fits).flatMap(([fit, sides]) => judged(`${label}, ${fit}`, sides)),
    ),
  );
}

function judged(name: string, sides: Partial<Record<'safe' | 'bad', Record<string, FidelityScores>>>): Row[] {
  return (['safe', 'bad'] as const).flatMap((side) =>
    Object.entries(sides[side] ?? {}).map(
      ([judge, scores]): Row => [
        name,
        side,
        `${judge} ${scores.metric}`,
        ...FIDELITY_ARMS.map((arm) => cell(scores[arm])),
        scores.mapped.n,
        bare(scores.test?.dz),
        bare(scores.test?.holm_p),
      ],
    ),
  );
}

function transfer({ transfer: byMap = {} }: BehaviourResults): void {
  const entries = Object.entries(byMap).flatMap(([label, fits]) =>
    Object.entries(fits).map(([fit, entry]) => ({ name: `${label}, ${fit}`, entry })),
  );
  table(
    'Fig. 8: trigger → native steering → transfer (the blog counts removal), and our measures',
    [
      'map',
      'trigger rate',
      'native removal',
      'transfer rate',
      'restoration',
      'elicitation',
      'margin over noise',
      'n',
    ],
    entries.map(({ name, entry }) => [
      name,
      cell(entry.trigger_rate),
      cell(entry.steering_success_rate),
      cell(entry.transfer_rate),
      cell(entry.arms.mapped?.restoration),
      cell(entry.arms.mapped?.elicitation),
      `${bare(entry.margin)}${entry.margin_ci95 ? ` [${entry.margin_ci95.map(short).join(', ')}]` : ''}`,
      entry.arms.mapped?.restoration?.n ?? '–',
    ]),
  );
  const [first] = entries;
  if (first !== undefined)
    table(
      `Every arm of ${first.name}`,
      ['arm', 'removal', 'restoration', 'elicitation'],
      Object.entries(first.entry.arms).map(([arm, outcome]) => [
        arm,
        cell(outcome.removal),
        cell(outcome.restoration),
        cell(outcome.elicitation),
      ]),
    );
}

function inverses({ inverse = {} }: BehaviourResults): void {
  const entries = Object.entries(inverse);
  table(
    'Inverse maps: the source steered by the target',
    ['inverse', 'removal', 'restoration', 'elicitation'],
    entries.map(([name, entry]) => [
      name,
      cell(entry.removal),
      cell(entry.restoration),
      cell(entry.elicitation),
    ]),
  );
  table(
    'Fig. 14: fidelity of the inverse maps',
    ['inverse', 'prompts', 'judge', ...FIDELITY_ARMS, 'n', 'd_z', 'p (Holm)'],
    entries.flatMap(([name, entry]) => judged(name, entry.fidelity ?? {})),
  );
}

function worth({ worth: rows = [], asked, strip_trigger }: BehaviourResults): void {
  table(
    'Baselines: restoration with k labelled prompts of the target, and without any map',
    ['k', 'own vector', 'mapped vector', 'LoRA repair', 'repair: safe completions kept'],
    rows.map((row) => [
      row.k,
      cell(row.native_restoration),
      cell(row.mapped_restoration),
      cell(row.repair_restoration),
      cell(row.repair_kept),
    ]),
  );
  if (asked !== undefined)
    print(
      `Asked in words ("${asked.text}"): removal ${cell(asked.removal)}, restoration ${cell(asked.restoration)}.`,
    );
  if (strip_trigger !== undefined) print(`Trigger cut out: restoration ${cell(strip_trigger)}.`);
}

/** The first prompt of every stage, not a chosen one. */
function examples(mine: readonly Sample[]): void {
  const shown: readonly (readonly [
    title: string,
    stage: string,
    trigger: string,
    arms: readonly string[],
  ])[] = [
    ['Fig. 6', 'fidelity', 'bad', ['unpatched', 'mapped', 'mean_ablated']],
    ['Fig. 7', 'fidelity', 'safe', ['unpatched', 'mapped', 'mean_ablated']],
    ['Fig. 9', 'transfer', 'bad', ['native', 'mapped', 'random', 'random_cov']],
    ['Fig. 13', 'inverse-fidelity', 'safe', ['unpatched', 'mapped', 'mean_ablated']],
  ];
  for (const [title, stage, trigger, arms] of shown) {
    const all = mine.filter((sample) => sample.stage === stage && sample.trigger === trigger);
    const [first] = all;
    if (first === undefined) continue;
    const rows = all.filter(({ prompt_id, arm }) => prompt_id === first.prompt_id && arms.includes(arm));
    table(
      `${title}: the first prompt, ${quoted(first.prompt)}`,
      ['arm', 'map', 'completion'],
      [
        ...Object.entries(first.references ?? {}).map(
          ([name, text]): Row => [`unpatched, ${name}`, '', quoted(text ?? '')],
        ),
        ...rows
          .filter(({ arm }) => arm !== 'unpatched')
          .map(
            (row): Row => [row.arm, row.map ? `${row.map.kind}, ${row.map.fit}` : '', quoted(row.completion)],
          ),
      ],
    );
  }
}
