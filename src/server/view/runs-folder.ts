/** @file The runs folder as the server sees it: every path is made here, and none leads outside. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { errorLine, InputError } from '../../base/index.ts';
import type { Figure, Manifest, Results } from '../../contracts/index.ts';
import { headline } from '../../figures/index.ts';
import { FLEET, failureOf, isFleetFolder, PREVIEW, readManifest, readResults } from '../../pipeline/index.ts';
import { verdictOf } from '../../report/index.ts';
import { Refused } from './refused.ts';

/** The verdict of one behaviour in a line. */
export interface Headline {
  readonly behaviour: string;
  readonly placement: string;
  /** Map and fit it was reached with, as in `maps/BEHAVIOUR/KIND.FIT`. */
  readonly map: string;
  readonly word: string;
  /** Says restoration beside its strongest noise control, with the margin. */
  readonly sentence: string;
  /** Restoration by the mapped arm minus the strongest noise arm. */
  readonly margin?: number | undefined;
  /** Blocks of the map. */
  readonly blocks: { readonly source?: number | undefined; readonly target?: number | undefined };
  /** By the mapped arm. */
  readonly restoration?: Figure | undefined;
  readonly elicitation?: Figure | undefined;
  /** Fraction of variance unexplained by the map on test prompts: safe ones, else triggered ones. */
  readonly fvu?: number | undefined;
}

/** Between the name of a fleet's folder and that of one of its runs: `fleet~medium`. No target's name holds it. */
const WITHIN = '~';

/** The id of a run of a fleet. */
export function fleetRunId(fleet: string, target: string): string {
  return `${fleet}${WITHIN}${target}`;
}

/** Whether an id is that of a run of a fleet. */
export function isOfFleet(id: string): boolean {
  return id.includes(WITHIN);
}

/** One entry of the list. `id` is the folder's name, of a fleet's run `FLEET~TARGET`. */
export type RunSummary =
  | {
      readonly id: string;
      readonly name: string;
      readonly status: Manifest['status'];
      readonly started_at: string;
      readonly finished_at?: string;
      readonly stages: { readonly done: number; readonly total: number };
      readonly models: readonly string[];
      readonly headlines: readonly Headline[];
      /** Why it failed, or why its results cannot be shown. */
      readonly error?: string;
    }
  | { readonly id: string; readonly problem: string };

/** One run. */
export interface RunDetail {
  readonly id: string;
  readonly manifest: Manifest;
  readonly has: {
    readonly results: boolean;
    readonly samples: boolean;
    readonly report: boolean;
    /** Documents of the fix, with a guide. */
    readonly use: boolean;
  };
}

/** Summaries are made of this many runs at a time: each may hold results of some megabytes. */
const AT_ONCE = 4;

/** A folder of run folders and fleets, or a single one of these (then only that is seen). */
export class RunsFolder {
  /** Real path; nothing outside it is ever read. */
  readonly root: string;
  readonly only: string | undefined;
  /** Summaries by run, with what their files were when they were made. */
  readonly #known = new Map<string, { readonly mark: string; readonly summary: RunSummary }>();

  private constructor(root: string, only: string | undefined) {
    this.root = root;
    this.only = only;
  }

  /** Throws {@link InputError} when `folder` is not a folder. */
  static async open(folder: string): Promise<RunsFolder> {
    const root = await realpath(folder).catch((cause: unknown) => {
      throw new InputError(`${folder}: no such folder; run an experiment first, e.g. crosspatch demo`, {
        id: 'run-not-found',
        cause,
      });
    });
    if (!(await stat(root)).isDirectory())
      throw new InputError(`${folder}: wanted a folder, got a file`, { id: 'run-not-found' });
    return (await exists(join(root, 'manifest.json'))) || (await isFleetFolder(root))
      ? new RunsFolder(dirname(root), basename(root))
      : new RunsFolder(root, undefined);
  }

  /** Name of the folder, for people. */
  get name(): string {
    return this.only ?? basename(this.root);
  }

  /**
   * The real path of something in a run folder. Throws {@link Refused}: 400 for a run name that is more than a name, 403 for
   * what leads (by a link, say) outside, 404 for what is not there.
   */
  async path(run: string, ...rest: readonly string[]): Promise<string> {
    const parts = [...(await this.#partsOf(run)), ...rest];
    for (const part of parts)
      if (part === '' || part.startsWith('.') || /[/\\\0]/.test(part) || part.length > 255)
        throw new Refused(400, `run ${JSON.stringify(part.slice(0, 60))}: wanted the name of a run folder`);
    if (this.only !== undefined && parts[0] !== this.only) throw new Refused(404, `run ${run}: not found`);
    const real = await realpath(join(this.root, ...parts)).catch(() => {
      throw new Refused(404, `${[run, ...rest].join('/')}: not found`);
    });
    const inside = relative(this.only === undefined ? this.root : join(this.root, this.only), real);
    if (inside === '..' || inside.startsWith(`..${sep}`) || inside.startsWith(sep))
      throw new Refused(403, `${[run, ...rest].join('/')}: leads outside the runs folder`);
    return real;
  }

  /** Folders that lead to a run: its own, or that of its fleet and its own. */
  async #partsOf(run: string): Promise<string[]> {
    const [fleet = '', target, ...more] = run.split(WITHIN);
    if (target === undefined || more.length > 0 || !/^[^./\\\0][^/\\\0]*$/.test(fleet)) return [run];
    return (await isFleetFolder(join(this.root, fleet))) ? [fleet, target] : [run];
  }

  /** {@link path}, or undefined where there is nothing. */
  async find(run: string, ...rest: readonly string[]): Promise<string | undefined> {
    return this.path(run, ...rest).catch((error: unknown) => {
      if (error instanceof Refused && error.status === 404) return undefined;
      throw error;
    });
  }

  /** The folder of a run, its manifest inside checked to be inside. */
  async run(run: string): Promise<string> {
    const folder = await this.path(run);
    if (!(await this.find(run, 'manifest.json')))
      throw new Refused(404, `run ${run}: no run folder (manifest.json is missing)`);
    return folder;
  }

  /** Every run, newest first, those of fleets among them; a broken one is an entry that says so. */
  async list(): Promise<RunSummary[]> {
    const within = (await this.fleetNames()).map(async (fleet) =>
      (await readdir(join(this.root, fleet))).map((target) => fleetRunId(fleet, target)),
    );
    const names = [...(await this.#names()), ...(await Promise.all(within)).flat()];
    const found: (RunSummary | undefined)[] = [];
    for (let from = 0; from < names.length; from += AT_ONCE)
      found.push(
        ...(await Promise.all(names.slice(from, from + AT_ONCE).map((name) => this.#summary(name)))),
      );
    const started = (run: RunSummary) => ('problem' in run ? '' : run.started_at);
    return found.filter((run) => run !== undefined).sort((a, b) => (started(a) < started(b) ? 1 : -1));
  }

  /** Names of the folders that are a fleet's. */
  async fleetNames(): Promise<string[]> {
    const names = await this.#names();
    const isOne = await Promise.all(
      names.map(async (name) => {
        const path = await this.find(name, FLEET).catch(() => undefined);
        return path !== undefined;
      }),
    );
    return names.filter((_, i) => isOne[i]);
  }

  async #names(): Promise<string[]> {
    return this.only === undefined ? readdir(this.root) : [this.only];
  }

  async detail(run: string): Promise<RunDetail> {
    const manifest = await readManifest(await this.run(run));
    const has = async (...rest: string[]) => (await this.find(run, ...rest)) !== undefined;
    const [results, samples, report, use] = await Promise.all([
      this.hasResults(run),
      has('samples'),
      has('report.html'),
      has('use'),
    ]);
    return { id: run, manifest, has: { results, samples, report, use } };
  }

  /** Results, or, while a run goes on, what there is of them. */
  async hasResults(run: string): Promise<boolean> {
    const found = await Promise.all(['results.json', PREVIEW].map((file) => this.find(run, file)));
    return found.some((path) => path !== undefined);
  }

  /** The summary of one run, made again only when its files have changed. */
  async #summary(id: string): Promise<RunSummary | undefined> {
    const [manifest, results] = await Promise.all(
      ['manifest.json', 'results.json'].map((file) => this.find(id, file).catch(() => undefined)),
    );
    if (manifest === undefined) return undefined;
    const mark = (await Promise.all([manifest, results].map(markOf))).join();
    const known = this.#known.get(id);
    if (known?.mark === mark) return known.summary;
    const summary = await this.#summarize(id, results !== undefined);
    this.#known.set(id, { mark, summary });
    return summary;
  }

  async #summarize(id: string, hasResults: boolean): Promise<RunSummary> {
    const plain = (error: unknown) => errorLine(error).replaceAll(`${this.root}/`, '');
    try {
      const folder = await this.run(id);
      const manifest = await readManifest(folder);
      const { name, status, started_at, finished_at } = manifest;
      let error = failureOf(manifest);
      const results = hasResults
        ? await readResults(folder).catch((cause: unknown) => {
            error ??= plain(cause);
            return undefined;
          })
        : undefined;
      return {
        id,
        name,
        status,
        started_at,
        finished_at,
        stages: stagesDone(manifest),
        models: manifest.models.map((model) => model.name),
        headlines: results ? headlinesOf(results) : [],
        error,
      };
    } catch (error) {
      return { id, problem: plain(error) };
    }
  }
}

/** Changes when the file does. */
export async function markOf(path: string | undefined): Promise<string> {
  const info = path === undefined ? undefined : await stat(path).catch(() => undefined);
  return info ? `${info.mtimeMs} ${info.size} ${info.ino}` : '';
}

function stagesDone({ stages }: Manifest): { done: number; total: number } {
  const done = stages.filter(({ status }) => status === 'done' || status === 'cached').length;
  return { done, total: stages.length };
}

function headlinesOf({ behaviours }: Results): Headline[] {
  return behaviours.flatMap((result) => {
    const chosen = headline(result);
    if (!chosen) return [];
    const { behaviour, placement, source_block, target_block } = result.pair;
    const { restoration, elicitation } = chosen.entry.arms.mapped ?? {};
    const measured = result.maps?.[chosen.kind]?.[chosen.fit]?.test;
    const fvu = (measured?.safe ?? measured?.bad)?.fvu;
    const { word, sentence, margin } = verdictOf(result);
    const map = `${chosen.kind}.${chosen.fit}`;
    return {
      behaviour,
      placement,
      map,
      word,
      sentence,
      margin: margin?.difference,
      blocks: { source: source_block, target: target_block },
      restoration,
      elicitation,
      fvu: typeof fvu === 'object' ? fvu.value : fvu,
    };
  });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
