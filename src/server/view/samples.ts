/** @file The samples of a run, read once, grouped by prompt and filtered. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { z } from 'zod';
import { InputError } from '../../base/index.ts';
import { type Sample, sampleSchema } from '../../contracts/index.ts';
import type { Rating } from './ratings.ts';
import { Refused } from './refused.ts';
import type { RunsFolder } from './runs-folder.ts';

const EXCERPT = 140;
/** Most bytes read of all samples of a run: a full experiment's are 60 MB. */
const LARGEST = 256 << 20;
/** Most characters of one line; a longer one counts as unreadable. */
const LONGEST = 16 << 20;

/** What samples are filtered by; every field narrows. */
export const sampleFilterSchema = z.object({
  behaviour: z.string().optional(),
  stage: z.string().optional(),
  arm: z.string().optional(),
  /** Kind of the map. */
  map: z.string().optional(),
  fit: z.string().optional(),
  /** A flag of `Sample.outcome`, `!` in front for "measured and false". */
  outcome: z.string().optional(),
  /** Text that prompt or completion must contain, case ignored. */
  q: z.string().optional(),
  rated: z.enum(['yes', 'no']).optional().catch(undefined),
});
export type SampleFilter = z.infer<typeof sampleFilterSchema>;

/** One prompt in a list of samples. */
export interface SampleGroupEntry {
  readonly behaviour: string;
  readonly prompt_id: string;
  /** Start of the prompt. */
  readonly excerpt: string;
  /** Rows in all, and how many of them fit the filter. */
  readonly rows: number;
  readonly fits: number;
  readonly rated: number;
}

/** The prompts of a run that fit a filter. */
export interface SampleIndex {
  readonly groups: readonly SampleGroupEntry[];
  /** Samples in all, and lines that could not be read. */
  readonly samples: number;
  readonly unreadable: number;
  /** What can be filtered by, over all samples. */
  readonly choices: Readonly<Record<(typeof CHOICES)[number], readonly string[]>>;
}
const CHOICES = ['behaviours', 'stages', 'arms', 'maps', 'fits', 'outcomes'] as const;

/** Every completion of one prompt. */
export interface SampleGroup {
  readonly behaviour: string;
  readonly prompt_id: string;
  readonly samples: readonly Sample[];
  /** Ids of those that fit the filter asked with. */
  readonly fits: readonly string[];
  /** By sample id. */
  readonly ratings: Readonly<Record<string, Rating>>;
}

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
    const paths = await Promise.all(names.map((name) => this.#runs.path(run, 'samples', name)));
    const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
    const total = sizes.reduce((a, b) => a + b, 0);
    if (total > LARGEST)
      throw new InputError(
        `${run}/samples: ${total >> 20} MB of samples; at most ${LARGEST >> 20} MB are shown`,
        { id: 'data-invalid' },
      );
    return paths;
  }
}

async function markOf(path: string): Promise<unknown> {
  const { mtimeMs, size, ino } = await stat(path);
  return [path, mtimeMs, size, ino];
}

async function read(files: readonly string[], mark: string): Promise<Loaded> {
  const groups = new Map<string, Group>();
  const byId = new Map<string, Group>();
  const seen = Object.fromEntries(CHOICES.map((name) => [name, new Set<string>()])) as Record<
    (typeof CHOICES)[number],
    Set<string>
  >;
  let [samples, unreadable] = [0, 0];
  for (const file of files)
    for await (const line of linesOf(file)) {
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
      if (sample.map) seen.maps.add(sample.map.kind);
      if (sample.map) seen.fits.add(sample.map.fit);
      for (const flag of Object.keys(sample.outcome ?? {})) seen.outcomes.add(flag);
    }
  const choices = Object.fromEntries(
    CHOICES.map((name) => [name, [...seen[name]]]),
  ) as unknown as SampleIndex['choices'];
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

/** Lines one after the other, without the whole file in memory; a pipe or a folder has none, one that is too long comes cut. */
async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  if (!(await stat(path)).isFile()) return;
  let rest = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 1 << 20 })) {
    const [first = '', ...lines] = (chunk as string).split('\n');
    if (rest.length <= LONGEST) rest += first;
    if (lines.length === 0) continue;
    yield rest;
    rest = lines.pop() ?? '';
    yield* lines;
  }
  yield rest;
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
  { behaviour, stage, arm, map, fit, outcome, q, rated }: SampleFilter,
  ratings: Readonly<Record<string, Rating>>,
): (sample: Sample) => boolean {
  const text = q?.toLowerCase();
  const wanted = outcome === undefined ? undefined : !outcome.startsWith('!');
  const flag = outcome?.replace(/^!/, '') as keyof NonNullable<Sample['outcome']> | undefined;
  return (sample) =>
    (behaviour === undefined || sample.behaviour === behaviour) &&
    (stage === undefined || sample.stage === stage) &&
    (arm === undefined || sample.arm === arm) &&
    (map === undefined || sample.map?.kind === map) &&
    (fit === undefined || sample.map?.fit === fit) &&
    (flag === undefined || sample.outcome?.[flag] === wanted) &&
    (rated === undefined || Object.hasOwn(ratings, sample.id) === (rated === 'yes')) &&
    (text === undefined ||
      sample.completion.toLowerCase().includes(text) ||
      sample.prompt.toLowerCase().includes(text));
}

function key(behaviour: string, promptId: string): string {
  return JSON.stringify([behaviour, promptId]);
}
