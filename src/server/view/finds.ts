/**
 * @file Models and vectors at hand: the bundled ones, those given on the command line, and those below the runs folder. The browser
 * names them by id; paths are made here, and none leads outside.
 */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { bundledModels } from '../../models/index.ts';
import { describeSteerFile, type SteerFileInfo } from '../../pipeline/index.ts';
import { Refused } from './refused.ts';
import { fleetRunId, type RunsFolder } from './runs-folder.ts';

/** A model that may be opened. */
export interface ModelChoice {
  /** `tiny/tiny-llama-s`, `run/demo/locked.target`, `below/qwen`, `path/0`: what the browser may name; never a path. */
  readonly id: string;
  readonly label: string;
}

/** Vectors or a document that a prompt may be steered with. */
export interface SteerFileChoice {
  /** `below/formal`, `path/0`: as of a model. */
  readonly id: string;
  readonly label: string;
  readonly about: SteerFileInfo;
}

/** A choice with its place. */
type Found<C> = C & { readonly path: string };

/** Paths of the command line. */
export interface GivenPaths {
  readonly models?: readonly string[];
  readonly vectors?: readonly string[];
}

/** Folders this deep below the runs folder are looked into. */
const DEEPEST = 6;
/** Folders looked into at most. */
const MOST = 3000;
/** Stages that are kept for later runs: their models and maps are those of the runs. */
const STORE = 'store';

/** What lies at one place below the runs folder. */
interface Place {
  readonly parts: readonly string[];
  readonly path: string;
  readonly names: readonly string[];
}

/** See the file's head. */
export class Finds {
  readonly #runs: RunsFolder;
  readonly #given: GivenPaths;

  constructor(runs: RunsFolder, given: GivenPaths = {}) {
    this.#runs = runs;
    this.#given = given;
  }

  /** Folder that what is named by a file found below it must lie in. */
  get root(): string {
    return this.#runs.root;
  }

  /** Models by id. Those of runs that cannot be read are left out. */
  async models(): Promise<Map<string, Found<ModelChoice>>> {
    const found = new Map<string, Found<ModelChoice>>();
    const add = (id: string, label: string, path: string) => found.set(id, { id, label, path });
    for (const { name, path, present } of bundledModels())
      if (present) add(`tiny/${name}`, `${name} (bundled)`, path);
    for (const [i, path] of (this.#given.models ?? []).entries()) add(`path/${i}`, basename(path), path);
    const listed = await this.#runs.list();
    const broken = new Set(listed.flatMap((run) => ('problem' in run ? [run.id] : [])));
    const runs = new Set(listed.flatMap((run) => ('problem' in run ? [] : [run.id])));
    const below: Found<ModelChoice>[] = [];
    for (const { parts, path } of await this.#places()) {
      const file = parts.at(-1) ?? '';
      const inFleet = fleetRunId(parts[0] ?? '', parts[1] ?? '');
      const isFleets = runs.has(inFleet) || broken.has(inFleet);
      const [run = '', kind, ...rest] = isFleets ? [inFleet, ...parts.slice(2)] : parts;
      if (broken.has(run)) continue;
      if (runs.has(run) && kind === 'models' && rest.length > 0)
        below.push({ id: `run/${run}/${rest.join('/')}`, label: `${rest.join('/')} (${run})`, path });
      else below.push({ id: `below/${parts.join('/')}`, label: labelOf(file, parts), path });
    }
    // The newest run first, as in the list; what is no run's after them.
    const order = [...runs];
    const rank = ({ id }: ModelChoice) => {
      const at = id.startsWith('run/') ? order.indexOf(id.split('/')[1] ?? '') : -1;
      return at < 0 ? order.length : at;
    };
    for (const model of below.sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1)))
      found.set(model.id, model);
    return found;
  }

  /** Vectors and documents by id. Those that cannot be read are left out. */
  async vectors(): Promise<Map<string, Found<SteerFileChoice>>> {
    const found = new Map<string, Found<SteerFileChoice>>();
    const add = async (id: string, label: string, path: string) => {
      const about = await describeSteerFile(path).catch(() => undefined);
      if (about) found.set(id, { id, label, path, about });
      return about;
    };
    for (const [i, path] of (this.#given.vectors ?? []).entries())
      await add(`path/${i}`, basename(path), path);
    for (const { parts, path, names } of await this.#vectorPlaces()) {
      const id = `below/${parts.join('/')}`;
      const label = labelOf(parts.at(-1) ?? '', parts);
      const about = names.includes('vector.json') ? await add(id, label, path) : undefined;
      // A refusal direction is projected out of all places: its document is the way to use it.
      if (!names.includes('intervention.json') || (about?.kind === 'vectors' && about.method !== 'refusal'))
        continue;
      const document = await this.#runs.find(parts[0] as string, ...parts.slice(1), 'intervention.json');
      if (document) await add(`${id}/intervention.json`, `${label}: intervention.json`, document);
    }
    return found;
  }

  /** Folders and files below `run/kind` that hold `file`, nothing in them leading out of the runs folder. */
  async below(run: string, kind: string, file: string): Promise<{ rest: string; path: string }[]> {
    const places = await this.#walk([run, kind]);
    const whole: { rest: string; path: string }[] = [];
    for (const place of places)
      if (place.names.includes(file) && (await this.#staysInside(place)))
        whole.push({ rest: place.parts.slice(2).join('/'), path: place.path });
    return whole.sort((a, b) => (a.rest < b.rest ? -1 : 1));
  }

  /** Model folders and GGUF files. */
  async #places(): Promise<Place[]> {
    const found: Place[] = [];
    for (const place of await this.#walk([])) {
      const { parts, names } = place;
      if (
        names.includes('config.json') &&
        names.some((n) => /\.(safetensors|gguf)$|^model\..*index\.json$/.test(n))
      ) {
        if (await this.#staysInside(place)) found.push(place);
        continue;
      }
      for (const name of names.filter((n) => n.endsWith('.gguf'))) {
        const path = await this.#runs
          .find((parts[0] ?? name) as string, ...(parts.length > 0 ? [...parts.slice(1), name] : []))
          .catch(() => undefined);
        if (path) found.push({ parts: [...parts, name], path, names: [] });
      }
    }
    return found;
  }

  async #vectorPlaces(): Promise<Place[]> {
    const found: Place[] = [];
    for (const place of await this.#walk([]))
      if (
        place.parts.length > 0 &&
        place.names.some((name) => name === 'vector.json' || name === 'intervention.json') &&
        (await this.#staysInside(place))
      )
        found.push(place);
    return found.sort((a, b) => (a.parts.join('/') < b.parts.join('/') ? -1 : 1));
  }

  async #staysInside({ parts, names }: Place): Promise<boolean> {
    const [first, ...rest] = parts;
    if (first === undefined) return true;
    const inside = await Promise.all(
      names
        .filter((name) => !name.startsWith('.'))
        .map((name) => this.#runs.find(first, ...rest, name).catch(() => undefined)),
    );
    return inside.every((path) => path !== undefined);
  }

  /** Every folder from `start` on, with the names in it; hidden ones and stores are passed over, links that lead out too. */
  async #walk(start: readonly string[]): Promise<Place[]> {
    const places: Place[] = [];
    const visit = async (parts: readonly string[]): Promise<void> => {
      if (places.length >= MOST || parts.length > DEEPEST) return;
      const [first, ...rest] = parts;
      const path =
        first === undefined ? this.#runs.root : await this.#runs.find(first, ...rest).catch(() => undefined);
      if (path === undefined) return;
      const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
      const { only } = this.#runs;
      const seen = entries.filter(
        ({ name }) => !name.startsWith('.') && (parts.length > 0 || only === undefined || name === only),
      );
      places.push({ parts, path, names: seen.map(({ name }) => name) });
      for (const entry of seen)
        if (entry.isDirectory() && entry.name !== STORE) await visit([...parts, entry.name]);
    };
    await visit(start);
    return places;
  }
}

/** The path behind an id. */
export function pathOf(
  known: ReadonlyMap<string, { readonly path: string }>,
  id: string,
  what: 'model' | 'map' | 'vector',
): string {
  const found = known.get(id);
  if (found) return found.path;
  const flag = what === 'vector' ? '--vector' : '--model';
  throw new Refused(
    404,
    `${what} ${JSON.stringify(id.slice(0, 80))}: not among those offered; start view with ${flag} PATH to add one`,
  );
}

/** `formal (my-run)`. */
function labelOf(name: string, parts: readonly string[]): string {
  const above = parts.slice(0, -1).join('/');
  return above === '' ? name : `${name} (${above})`;
}
