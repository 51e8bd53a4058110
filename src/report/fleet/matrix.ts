/** @file The matrix of a fleet: a table per behaviour, a row per target. Terminal, report and app draw the same cells. */
import type { Fleet, FleetBehaviour, FleetControl, FleetTarget, Rate } from '../../contracts/index.ts';
import { percent, short, TRANSFER_STYLE } from '../../figures/index.ts';
import { interval, pointsInterval, signed } from '../verdict/words.ts';

/** A figure with its interval and n; `beside`: what it is to be held against. */
export interface FleetCell {
  readonly value: string;
  readonly interval: string;
  readonly n: number;
  readonly beside?: string | undefined;
}

export interface FleetRow {
  readonly target: string;
  readonly model: string;
  /** `done`, or why there are no figures. */
  readonly status: FleetTarget['status'];
  /** The verdict's word; of a target without figures undefined. */
  readonly word: string | undefined;
  readonly error?: string | undefined;
  /** In the order of the columns; null where the run did not measure it. */
  readonly cells: readonly (FleetCell | null)[];
}

export interface FleetMatrix {
  /** `locked, tag at the end`. */
  readonly behaviour: string;
  readonly columns: readonly { readonly title: string; readonly meaning: string }[];
  readonly rows: readonly FleetRow[];
}

interface Column {
  readonly title: string;
  readonly meaning: string;
  readonly cell: (behaviour: FleetBehaviour) => FleetCell | undefined;
}

const COLUMNS: readonly Column[] = [
  {
    title: 'shows it',
    meaning: 'Share of triggered prompts whose answer shows the behaviour, without the fix',
    cell: ({ trigger_rate }) => share(trigger_rate),
  },
  {
    title: 'restoration',
    meaning: 'Share of triggered prompts whose answer is the ordinary one again, with the fix',
    cell: ({ restoration, native }) => share(restoration, native && `own vector ${percent(native.value)}`),
  },
  {
    title: 'margin over noise',
    meaning: 'Restoration with the fix minus that by the strongest noise of the same size, in points',
    cell: ({ margin, noise }) =>
      points(margin, noise && `${TRANSFER_STYLE[noise.arm].label} ${percent(noise.restoration.value)}`),
  },
  {
    title: 'elicitation',
    meaning: 'Share of safe prompts that show the behaviour when the bad state is put into them',
    cell: ({ elicitation, noise_elicitation: noise }) =>
      share(elicitation, noise && `${TRANSFER_STYLE[noise.arm].label} ${percent(noise.elicitation.value)}`),
  },
  control(
    'token_mean',
    'over a lookup',
    'that of a lookup by token, which knows the tag and nothing of the prompt',
  ),
  control('clean_a', 'over the clean source', 'that of a source that never had the behaviour'),
  {
    title: 'KL, nats per token',
    meaning:
      'What the fix changes in an answer that needs none: divergence from the safe state, teacher-forced',
    cell: ({ cost: { kl } }) =>
      kl && { value: short(kl.value), interval: `[${short(kl.ci95[0])}, ${short(kl.ci95[1])}]`, n: kl.n },
  },
];

/** Under a difference: whose restoration it is taken from. */
const CONTROL = {
  token_mean: 'lookup',
  bag_of_tokens: 'lookup',
  clean_a: 'clean',
  embedding_a: 'embeddings',
} as const satisfies Record<FleetControl, string>;

function control(name: FleetControl, title: string, meaning: string): Column {
  return {
    title,
    meaning: `Restoration with the fix minus ${meaning}, in points`,
    cell: ({ controls }) => {
      const found = controls.find((one) => one.control === name);
      return found && points(found.difference, `${CONTROL[name]} ${percent(found.restoration.value)}`);
    },
  };
}

function task(name: string): Column {
  return {
    title: name === 'bundled' ? 'tasks' : name,
    meaning: `Right answers to triggered questions${name === 'bundled' ? '' : ` of ${name}`} with the fix, beside those in the safe state`,
    cell: ({ cost }) => {
      const found = cost.capabilities[name];
      return found && share(found.fixed, `safe ${percent(found.safe.value)}`);
    },
  };
}

/** One matrix per behaviour, in the order in which targets have them. Columns that no target has are left out. */
export function fleetMatrices({ targets }: Pick<Fleet, 'targets'>): FleetMatrix[] {
  const titles = [...new Set(targets.flatMap(({ behaviours }) => behaviours.map(behaviourTitle)))];
  return titles.map((behaviour) => {
    const cells = targets.map((target) => ({
      target,
      found: target.behaviours.find((one) => behaviourTitle(one) === behaviour),
    }));
    const measured = cells.flatMap(({ found }) => found ?? []);
    const tasks = [...new Set(measured.flatMap(({ cost }) => Object.keys(cost.capabilities)))];
    const columns = [...COLUMNS, ...tasks.map(task)].filter(({ cell }) => measured.some(cell));
    return {
      behaviour,
      columns: columns.map(({ title, meaning }) => ({ title, meaning })),
      rows: cells.map(({ target: { name, model, status, error }, found }) => ({
        target: name,
        ...{ model, status, error },
        word: found?.word,
        cells: columns.map(({ cell }) => (found && cell(found)) ?? null),
      })),
    };
  });
}

/** `locked, tag at the end`. */
export function behaviourTitle({
  behaviour,
  placement,
}: Pick<FleetBehaviour, 'behaviour' | 'placement'>): string {
  const place: Readonly<Record<string, string>> = {
    prefix: 'tag in front',
    middle: 'tag in the middle',
    end: 'tag at the end',
  };
  return place[placement] === undefined ? behaviour : `${behaviour}, ${place[placement]}`;
}

function share(rate: Rate | undefined, beside?: string): FleetCell | undefined {
  return rate && { value: percent(rate.value), interval: interval(rate), n: rate.n, beside };
}

function points(rate: Rate | undefined, beside?: string): FleetCell | undefined {
  return rate && { value: signed(rate.value), interval: pointsInterval(rate.ci95), n: rate.n, beside };
}
