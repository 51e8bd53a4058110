/** @file The steering page's side that the server talks to: which models and vectors there are, and questions about them. */
import { tinyInstructions } from '../../behaviours/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import type { SteerEvent } from '../../evaluate/index.ts';
import type { MadeVectors, SteerVector } from '../../pipeline/index.ts';
import { type Finds, type ModelChoice, pathOf, type SteerFileChoice } from './finds.ts';
import type { ModelProcesses } from './model-process.ts';
import type { SteerCall, SteerMake, SteerSave } from './steer-request.ts';

/** What the page may offer. */
export interface SteerChoices {
  readonly models: readonly ModelChoice[];
  readonly vectors: readonly SteerFileChoice[];
  /** Questions the bundled models were made for. */
  readonly examples: readonly string[];
}

const EXAMPLES = 12;

/** See the file's head. */
export class SteerBoard {
  readonly #finds: Finds;
  readonly #processes: ModelProcesses;

  constructor(finds: Finds, processes: ModelProcesses) {
    this.#finds = finds;
    this.#processes = processes;
  }

  async choices(): Promise<SteerChoices> {
    const [models, vectors] = await Promise.all([this.#finds.models(), this.#finds.vectors()]);
    return {
      models: [...models.values()].map(({ id, label }) => ({ id, label })),
      vectors: [...vectors.values()].map(({ id, label, about }) => ({ id, label, about })),
      examples: tinyInstructions({ seed: 17, train: 0, validation: 0, test: EXAMPLES }).map((i) => i.prompt),
    };
  }

  /** Vectors from two lists of texts; the model's process keeps them for {@link run}. */
  async make({ model, texts }: SteerMake, signal: AbortSignal): Promise<MadeVectors> {
    const path = pathOf(await this.#finds.models(), model, 'model');
    return this.#processes.ask({ kind: 'make', model: path, texts }, signal);
  }

  /** The question's intervention document at one strength, its vectors within it. */
  async document(
    { model, vectors, strength }: SteerSave,
    signal: AbortSignal,
  ): Promise<InterventionDocument> {
    const path = pathOf(await this.#finds.models(), model, 'model');
    return this.#processes.ask(
      { kind: 'document', model: path, vectors: await this.#withPaths(vectors), strength },
      signal,
    );
  }

  /** Events as they come; ends early when `signal` fires. */
  async *run(request: SteerCall, signal: AbortSignal): AsyncGenerator<SteerEvent, void, undefined> {
    const model = pathOf(await this.#finds.models(), request.model, 'model');
    const question = { ...request, model, vectors: await this.#withPaths(request.vectors) };
    for await (const answer of this.#processes.call({ kind: 'steer', model, question }, signal))
      if ('event' in answer) yield answer.event as SteerEvent;
  }

  async #withPaths(vectors: SteerCall['vectors']): Promise<SteerVector[]> {
    const known = await this.#finds.vectors();
    return vectors.map((vector): SteerVector => {
      if (vector.from === 'texts') return vector;
      const { id, ...rest } = vector;
      const path = pathOf(known, id, 'vector');
      // A file given on the command line may name others anywhere; one that was found may not lead out.
      const within = id.startsWith('path/') ? undefined : this.#finds.root;
      return rest.from === 'document' ? { ...rest, path, within } : { ...rest, path };
    });
  }
}
