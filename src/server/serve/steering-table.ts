/** @file The interventions a server knows by name, and the one it carries out when a request says nothing. */
import type { InterventionDocument } from '../../contracts/index.ts';
import type { QuestionSteering } from '../../pipeline/index.ts';
import { TurnedDown } from './turned-down.ts';

/** A document, and the folder its paths are relative to. */
export interface NamedSteering {
  readonly document: InterventionDocument;
  readonly folder?: string | undefined;
}

/** Names known at most: each keeps its vectors in memory. */
const MOST = 100;

/** The name of no steering at all. */
const NONE = 'none';

/** See the file's head. */
export class SteeringTable {
  readonly #model: string;
  readonly #named: Map<string, NamedSteering>;
  #default: string | undefined;

  constructor(model: string, named: ReadonlyMap<string, NamedSteering>, byDefault?: string) {
    this.#model = model;
    this.#named = new Map(named);
    this.#default = byDefault;
  }

  get default(): string | undefined {
    return this.#default;
  }

  /** Models a client may ask for: the model itself, and `model@name`. */
  get models(): string[] {
    return [this.#model, ...[...this.#named.keys(), NONE].map((name) => `${this.#model}@${name}`)];
  }

  list(): object {
    return {
      object: 'list',
      default: this.#default ?? null,
      data: [...this.#named].map(([name, { document }]) => ({
        name,
        model: `${this.#model}@${name}`,
        when: document.when ?? 'always',
        conflict: document.conflict,
        interventions: document.interventions.map((edit) => ({
          op: edit.op,
          hook: edit.hook,
          tokens: edit.tokens,
          vector: 'vector' in edit ? edit.vector.from : undefined,
          scale: 'scale' in edit ? edit.scale : undefined,
        })),
      })),
    };
  }

  /** From now on, what requests get that say nothing. */
  setDefault(name: string | null): void {
    if (name !== null && name !== NONE) this.#find(name);
    this.#default = name === null || name === NONE ? undefined : name;
  }

  /** Know a document by this name. A name that is taken is refused: clients rely on it. */
  add(name: string, document: InterventionDocument): void {
    if (name === NONE || this.#named.has(name))
      throw new TurnedDown(400, `name: ${name} is taken; choose another`, { param: 'name' });
    if (this.#named.size >= MOST)
      throw new TurnedDown(400, `name: ${MOST} are known, no more are taken until the server starts anew`, {
        param: 'name',
      });
    this.#named.set(name, { document });
  }

  /** What is carried out for a request: its body's word first, then its model's, then the default. */
  resolve(
    model: string,
    steering: string | InterventionDocument | null | undefined,
  ): QuestionSteering | undefined {
    const [base, alias] = this.#split(model);
    if (base !== this.#model || (alias !== undefined && alias !== NONE && !this.#named.has(alias)))
      throw new TurnedDown(404, `model ${model}: there is ${this.models.join(', ')}`, {
        code: 'model_not_found',
        param: 'model',
      });
    if (typeof steering === 'object' && steering !== null) return { document: steering };
    const name = steering === undefined ? (alias ?? this.#default) : steering;
    if (name === undefined || name === null || name === NONE) return undefined;
    return { name, ...this.#find(name) };
  }

  #split(model: string): [base: string, alias: string | undefined] {
    if (model === this.#model || !model.startsWith(`${this.#model}@`)) return [model, undefined];
    return [this.#model, model.slice(this.#model.length + 1)];
  }

  #find(name: string): NamedSteering {
    const found = this.#named.get(name);
    if (found === undefined)
      throw new TurnedDown(
        400,
        `steering: ${name} is not known; known are ${[...this.#named.keys()].join(', ') || 'none'}`,
        {
          param: 'steering',
        },
      );
    return found;
  }
}
