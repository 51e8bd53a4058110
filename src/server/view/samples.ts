/** @file The samples of a run, read once, grouped by prompt and filtered. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { type Sample, sampleSchema } from '../../contracts/index.ts';
import type { Rating, SampleFilter, SampleGroup, SampleGroupEntry, SampleIndex } from './api.ts';
import { Refused } from './refused.ts';
import type { RunsFolder } from './runs-folder.ts';

const EXCERPT = 140;

interface Group {
  readonly behaviour: string;
  readonly prompt_id: string;
  readonly samples: Sample[];
}

interface Loaded {
  readonly mark: string;
  readonly groups: ReadonlyMap<string, Group>;
  readonly byId: ReadonlyMap<string, Group>;
  readonly samples: number;
  readonly unreadable: number;
  readonly choices: SampleIndex['choices'];
  readonly frame: Frame;
}

/** How many characters all prompts begin and end with: the template, which an excerpt leaves out. */
interface Frame {
  readonly start: number;
  readonly end: number;
}

/** Samples of the run read last stay in memory until its files change. */
export class SampleStore {
  readonly #runs: RunsFolder;
  #held: { readonly run: string; readonly loaded: Loaded } | undefined;

  constructor(runs: RunsFolder) {
    this.#runs = runs;
  }

  /** Prompts with at least one row that fits `filter`, in the order of the files. */
  async index(
    run: string,
    filter: SampleFilter,
    ratings: Readonly<Record<string, Rating>>,
  ): Promise<SampleIndex> {
    const { groups, samples, unreadable, choices, frame } = await this.#load(run);
    const fits = matcher(filter, ratings);
    const entries: SampleGroupEntry[] = [];
    for (const group of groups.values()) {
      const count = group.samples.reduce((n, sample) => n + (fits(sample) ? 1 : 0), 0);
      if (count === 0) continue;
      const rated = group.samples.reduce((n, { id }) => n + (Object.hasOwn(ratings, id) ? 1 : 0), 0);
      const { behaviour, prompt_id } = group;
      const excerpt = excerptOf((group.samples[0] as Sample).prompt, frame);
      entries.push({ behaviour, prompt_id, excerpt, rows: group.samples.length, fits: count, rated });
    }
    return { groups: entries, samples, unreadable, choices };
  }

  /** All rows of the prompt that `which` names, or that the row `which.id` belongs to. */
  async group(
    run: string,
    which: { readonly id: string } | { readonly behaviour: string; readonly prompt_id: string },
    filter: SampleFilter,
    ratings: Readonly<Record<string, Rating>>,
  ): Promise<SampleGroup> {
    const { groups, byId } = await this.#load(run);
    const found = 'id' in which ? byId.get(which.id) : groups.get(key(which.behaviour, which.prompt_id));
    if (!found) throw new Refused(404, `run ${run}: no such sample`);
    const own = found.samples.flatMap(({ id }) =>
      Object.hasOwn(ratings, id) ? [[id, ratings[id] as Rating] as const] : [],
    );
    const fits = found.samples.filter(matcher(filter, ratings)).map(({ id }) => id);
    return { ...found, fits, ratings: Object.fromEntries(own) };
  }

  /** Rows of one behaviour, in the order of the files. */
  async ofBehaviour(run: string, behaviour: string): Promise<Sample[]> {
    const { groups } = await this.#load(run);
    return [...groups.values()].flatMap((group) => (group.behaviour === behaviour ? group.samples : []));
  }

  /** Every sample of the run that is called `id`. */
  async has(run: string, id: string): Promise<boolean> {
    return (await this.#load(run)).byId.has(id);
  }

  /** Rows by id, for the export of ratings. */
  async byId(run: string): Promise<ReadonlyMap<string, Sample>> {
    const { groups } = await this.#load(run);
    return new Map([...groups.values()].flatMap((g) => g.samples.map((s) => [s.id, s] as const)));
  }

  async #load(run: string): Promise<Loaded> {
    await this.#runs.run(run);
    const files = await this.#files(run);
    const mark = JSON.stringify(await Promise.all(files.map(markOf)));
    if (this.#held?.run === run && this.#held.loaded.mark === mark) return this.#held.loaded;
    const loaded = await read(files, mark);
    this.#held = { run, loaded };
    return loaded;
  }

  async #files(run: string): Promise<string[]> {
    const folder = await this.#runs.find(run, 'samples');
    if (folder === undefined) return [];
    const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort();
    return Promise.all(names.map((name) => this.#runs.path(run, 'samples', name)));
  }
}

async function markOf(path: string): Promise<unknown> {
  const { mtimeMs, size, ino } = await stat(path);
  return [path, mtimeMs, size, ino];
}

async function read(files: readonly string[], mark: string): Promise<Loaded> {
  const groups = new Map<string, Group>();
  const byId = new Map<string, Group>();
  const seen = {
    behaviours: new Set<string>(),
    stages: new Set<string>(),
    arms: new Set<string>(),
    outcomes: new Set<string>(),
  };
  let [samples, unreadable] = [0, 0];
  for (const file of files)
    for (const line of (await readFile(file, 'utf8')).split('\n')) {
      if (line === '') continue;
      const sample = parse(line);
      if (sample === undefined) {
        unreadable++;
        continue;
      }
      samples++;
      const at = key(sample.behaviour, sample.prompt_id);
      let group = groups.get(at);
      if (!group) {
        group = { behaviour: sample.behaviour, prompt_id: sample.prompt_id, samples: [] };
        groups.set(at, group);
      }
      group.samples.push(sample);
      byId.set(sample.id, group);
      seen.behaviours.add(sample.behaviour);
      seen.stages.add(sample.stage);
      seen.arms.add(sample.arm);
      for (const flag of Object.keys(sample.outcome ?? {})) seen.outcomes.add(flag);
    }
  const choices = {
    behaviours: [...seen.behaviours],
    stages: [...seen.stages],
    arms: [...seen.arms],
    outcomes: [...seen.outcomes],
  };
  const frame = frameOf([...groups.values()].map((group) => (group.samples[0] as Sample).prompt));
  return { mark, groups, byId, samples, unreadable, choices, frame };
}

/** What is common to all prompts, cut back to whole lines and words. */
function frameOf(prompts: readonly string[]): Frame {
  const [first = '', ...rest] = prompts;
  if (rest.length === 0) return { start: 0, end: 0 };
  let [start, end] = [first.length, first.length];
  for (const prompt of rest) {
    const limit = Math.min(first.length, prompt.length);
    let i = 0;
    while (i < Math.min(start, limit) && first[i] === prompt[i]) i++;
    let j = 0;
    while (j < Math.min(end, limit - i) && first.at(-1 - j) === prompt.at(-1 - j)) j++;
    [start, end] = [i, j];
  }
  const tail = first.slice(first.length - end);
  const word = tail.search(/\s/);
  return { start: first.slice(0, start).lastIndexOf('\n') + 1, end: word < 0 ? 0 : tail.length - word };
}

function excerptOf(prompt: string, { start, end }: Frame): string {
  return prompt
    .slice(start, prompt.length - end)
    .trim()
    .slice(0, 4 * EXCERPT)
    .replace(/\s+/g, ' ')
    .slice(0, EXCERPT);
}

function parse(line: string): Sample | undefined {
  try {
    const parsed = sampleSchema.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

function matcher(
  { behaviour, stage, arm, outcome, q, rated }: SampleFilter,
  ratings: Readonly<Record<string, Rating>>,
): (sample: Sample) => boolean {
  const text = q?.toLowerCase();
  const wanted = outcome === undefined ? undefined : !outcome.startsWith('!');
  const flag = outcome?.replace(/^!/, '') as keyof NonNullable<Sample['outcome']> | undefined;
  return (sample) =>
    (behaviour === undefined || sample.behaviour === behaviour) &&
    (stage === undefined || sample.stage === stage) &&
    (arm === undefined || sample.arm === arm) &&
    (flag === undefined || sample.outcome?.[flag] === wanted) &&
    (rated === undefined || Object.hasOwn(ratings, sample.id) === (rated === 'yes')) &&
    (text === undefined ||
      sample.completion.toLowerCase().includes(text) ||
      sample.prompt.toLowerCase().includes(text));
}

function key(behaviour: string, promptId: string): string {
  return JSON.stringify([behaviour, promptId]);
}
