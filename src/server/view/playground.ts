/**
 * @file The playground's side that the server talks to: which models and maps there are, and which to begin with.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { readTextLimited } from '../../base/index.ts';
import { tinyInstructions } from '../../behaviours/index.ts';
import type { ProbeEvent } from '../../evaluate/index.ts';
import { type Finds, type ModelChoice, pathOf } from './finds.ts';
import type { ChildCall, ModelDescription, ModelProcesses } from './model-process.ts';
import type { PlaygroundCall } from './playground-request.ts';
import type { Headline, RunsFolder } from './runs-folder.ts';

/** One end of a map: its model as the map's record names it, and its id where it is among those offered. */
export interface PlaygroundMapEnd {
  readonly name: string;
  /** Hash of the weights. */
  readonly hash: string;
  readonly block: number;
  readonly width: number;
  readonly model?: string;
}

/** A fitted map the playground may use. */
export interface PlaygroundMap {
  readonly id: string;
  readonly label: string;
  readonly source: PlaygroundMapEnd;
  readonly target: PlaygroundMapEnd;
}

/** What the page may offer. */
export interface PlaygroundChoices {
  readonly models: readonly ModelChoice[];
  readonly maps: readonly PlaygroundMap[];
  /** Questions the bundled models were made for. */
  readonly examples: readonly string[];
  /** What to begin with: the fine-tuned target of a run and the map that carries most. */
  readonly start?: { readonly model: string; readonly map?: string; readonly placement?: string };
}

/** Questions offered. */
const EXAMPLES = 12;
/** Most bytes of a map's record. */
const LARGEST_CARD = 4 << 20;

/** Models, maps, and questions to the processes that run them. */
export class Playground {
  readonly #runs: RunsFolder;
  readonly #finds: Finds;
  readonly #processes: ModelProcesses;

  constructor(runs: RunsFolder, finds: Finds, processes: ModelProcesses) {
    this.#runs = runs;
    this.#finds = finds;
    this.#processes = processes;
  }

  async choices(): Promise<PlaygroundChoices> {
    const { models, maps, headlines } = await this.#all();
    return {
      models: [...models].map(([id, { label }]) => ({ id, label })),
      maps: [...maps.values()].map(({ path: _path, ...map }) => map),
      examples: tinyInstructions({ seed: 17, train: 0, validation: 0, test: EXAMPLES }).map((i) => i.prompt),
      start: startOf(headlines, models, maps),
    };
  }

  async describe(model: string): Promise<ModelDescription> {
    const path = pathOf(await this.#finds.models(), model, 'model');
    return this.#processes.ask({ kind: 'describe', model: path });
  }

  /** Events as they come; ends early when `signal` fires. */
  async *run(request: PlaygroundCall, signal: AbortSignal): AsyncGenerator<ProbeEvent, void, undefined> {
    const { models, maps } = await this.#all();
    const call: ChildCall = {
      kind: 'run',
      request,
      model: pathOf(models, request.model, 'model'),
      source: request.source === undefined ? undefined : pathOf(models, request.source, 'model'),
      map: request.map === undefined ? undefined : pathOf(maps, request.map, 'map'),
    };
    for await (const answer of this.#processes.call(call, signal))
      if ('event' in answer) yield answer.event as ProbeEvent;
  }

  async #all() {
    const models = await this.#finds.models();
    const maps = new Map<string, PlaygroundMap & { path: string }>();
    const headlines: (Headline & { readonly run: string })[] = [];
    for (const run of await this.#runs.list()) {
      if ('problem' in run) continue;
      headlines.push(...run.headlines.map((headline) => ({ ...headline, run: run.id })));
      for (const { rest, path } of await this.#finds.below(run.id, 'maps', 'map.json')) {
        const card = await readMapCard(path);
        const id = `${run.id}/${rest}`;
        if (!card) continue;
        const [from, to] = madeFor(run.id, rest, run.models[0]);
        const end = (one: PlaygroundMapEnd, model: string) => ({
          ...one,
          model: models.has(model) ? model : undefined,
        });
        const label = `${rest} (${run.id})`;
        maps.set(id, { id, label, path, source: end(card.source, from), target: end(card.target, to) });
      }
    }
    return { models, maps, headlines };
  }
}

/**
 * Ids of a map's source and target, where a run keeps them: `maps/BEHAVIOUR/KIND.FIT` beside `models/BEHAVIOUR.source` and
 * `.target`; a map from the clean source starts at the bundled model the run names first.
 */
function madeFor(run: string, rest: string, clean: string | undefined): [source: string, target: string] {
  const behaviour = rest.slice(0, Math.max(0, rest.indexOf('/')));
  const from = rest.endsWith('.clean_a') ? `tiny/${clean}` : `run/${run}/${behaviour}.source`;
  return [from, `run/${run}/${behaviour}.target`];
}

/** The target whose map restores most beyond noise, else any target with a map: something is to be seen there. */
function startOf(
  headlines: readonly (Headline & { readonly run: string })[],
  models: ReadonlyMap<string, unknown>,
  maps: ReadonlyMap<string, PlaygroundMap>,
): PlaygroundChoices['start'] {
  const shown = headlines
    .map(({ run, behaviour, map, placement, margin = 0 }) => ({
      model: `run/${run}/${behaviour}.target`,
      map: `${run}/${behaviour}/${map}`,
      placement,
      margin,
    }))
    .filter(({ model, map }) => models.has(model) && maps.has(map))
    .sort((a, b) => b.margin - a.margin)[0];
  if (shown) return { model: shown.model, map: shown.map, placement: shown.placement };
  const any = [...maps.values()].find((map) => map.target.model !== undefined);
  if (any?.target.model) return { model: any.target.model, map: any.id };
  const tuned = [...models.keys()].find((id) => id.startsWith('run/') && id.endsWith('.target'));
  return tuned === undefined ? undefined : { model: tuned };
}

const cardEnd = z.object({
  model: z.string(),
  name: z.string(),
  block: z.int().min(0),
  width: z.int().min(1),
});
const mapCard = z.object({ source: cardEnd, target: cardEnd });

/** What a page shows of a map: the ends of its record. */
async function readMapCard(
  folder: string,
): Promise<{ source: PlaygroundMapEnd; target: PlaygroundMapEnd } | undefined> {
  try {
    const { source, target } = mapCard.parse(
      JSON.parse(await readTextLimited(join(folder, 'map.json'), LARGEST_CARD)),
    );
    const end = ({ model, ...rest }: z.infer<typeof cardEnd>) => ({ ...rest, hash: model, model: undefined });
    return { source: end(source), target: end(target) };
  } catch {
    return undefined;
  }
}
