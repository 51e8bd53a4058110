/**
 * @file A plan: the stages of one experiment and who reads whom. A node can only be added after its inputs, so a plan has no
 * cycles; every node's key is known before anything runs: SHA-256 of stage, version, parameters, seed and the keys of its inputs.
 */
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CrosspatchError, hashFile, hashJson, InputError, listFiles } from '../base/index.ts';
import type { ManifestData, ManifestModel } from '../contracts/index.ts';
import { modelProvider } from '../engine/index.ts';
import type { AnyStage, SourceOutput, Stage } from './stage.ts';

/** A node as others refer to it; `O` is what its stage returns. */
export interface NodeRef<O> {
  readonly id: string;
  readonly key: string;
  readonly '~output'?: O;
}

type RefOf<T> = T extends undefined
  ? undefined
  : T extends readonly (infer E)[]
    ? readonly NodeRef<E>[]
    : NodeRef<T>;
/** References to the nodes behind inputs of types `I`. */
export type InputRefs<I> = { readonly [K in keyof I]: RefOf<I[K]> };

/** What is said of one node. */
export interface NodeOptions<I> {
  /** Unique in the plan, dotted from the general to the particular: `locked.finetune.source`. Shown everywhere. */
  readonly id: string;
  /** As a person would write them; checked and completed by the stage's schema. */
  readonly params: unknown;
  readonly inputs?: InputRefs<I>;
  /** Defaults to the plan's seed. */
  readonly seed?: number;
  /** Place in the run folder → file or folder in the stage's folder (`.` = all of it), copied when the stage is done. */
  readonly publish?: Readonly<Record<string, string>>;
}

export interface StageNode {
  readonly kind: 'stage';
  readonly id: string;
  readonly key: string;
  readonly stage: AnyStage;
  readonly params: unknown;
  readonly seed: number;
  readonly inputs: Readonly<Record<string, string | readonly string[]>>;
  readonly publish: Readonly<Record<string, string>>;
}
export interface SourceNode {
  readonly kind: 'source';
  readonly id: string;
  readonly key: string;
  readonly path: string;
  readonly output: SourceOutput;
  readonly about: SourceAbout;
}
export type PlanNode = StageNode | SourceNode;

/** What the manifest says of a source, its hash aside. */
export interface SourceAbout {
  readonly model?: Omit<ManifestModel, 'sha256'>;
  readonly data?: Omit<ManifestData, 'sha256'>;
  /** Of a model: bytes that have to be fetched before it can run. Defaults to 0. */
  readonly missingBytes?: number;
}

/** The stages of one experiment. `seed` is the seed of every node that names none. */
export class Plan {
  readonly seed: number;
  readonly #nodes = new Map<string, PlanNode>();

  constructor(seed: number) {
    this.seed = seed;
  }

  /** In an order in which every node follows its inputs. */
  get nodes(): readonly PlanNode[] {
    return [...this.#nodes.values()];
  }

  get(id: string): PlanNode {
    const node = this.#nodes.get(id);
    if (!node) throw new CrosspatchError(`plan: no node is called ${id}`, { id: 'internal' });
    return node;
  }

  /** Add a stage. Throws when parameters do not fit its schema, an input is not of this plan or the id is taken. */
  add<P, I, O extends object>(stage: Stage<P, I, O>, options: NodeOptions<I>): NodeRef<O> {
    const { id, publish = {}, seed = this.seed } = options;
    const parsed = stage.params.safeParse(options.params);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new CrosspatchError(`plan: ${id}: ${issue?.path.join('.')}: ${issue?.message}`, {
        id: 'internal',
      });
    }
    const inputs: Record<string, string | readonly string[]> = {};
    const inputKeys: Record<string, unknown> = {};
    for (const [name, value] of Object.entries((options.inputs ?? {}) as Record<string, unknown>)) {
      if (value === undefined) continue;
      const refs = (Array.isArray(value) ? value : [value]) as NodeRef<unknown>[];
      const found = refs.map((ref) => this.get(ref.id));
      inputs[name] = Array.isArray(value) ? found.map((n) => n.id) : found[0]!.id;
      inputKeys[name] = Array.isArray(value) ? found.map((n) => n.key) : found[0]!.key;
    }
    const { name, version } = stage;
    const key = stageKey({ stage: name, version, params: parsed.data, seed, inputs: inputKeys });
    const node = { kind: 'stage' as const, id, key, params: parsed.data, seed, inputs, publish };
    this.#insert({ ...node, stage: stage as unknown as AnyStage });
    return { id, key };
  }

  /**
   * Add a file or folder from outside (a model, a data set), keyed by its content: moving it redoes nothing, changing a byte
   * redoes what hangs on it. Inputs see it as `folder` = `path`. Throws {@link InputError} when it is not there.
   */
  async source(id: string, path: string, about: SourceAbout = {}): Promise<NodeRef<SourceOutput>> {
    const sha256 = await hashPath(path);
    const output = { name: about.model?.name ?? about.data?.name ?? basename(path), sha256 };
    const key = about.model ? modelKey(sha256, about.model) : sha256;
    this.#insert({ kind: 'source', id, key, path, output, about });
    return { id, key };
  }

  /** Add a node of another plan under ids of this one; its key, and so its result, stays what it was. */
  include(node: PlanNode, id: string, idOf: (needed: string) => string): void {
    if (node.kind === 'source') this.#insert({ ...node, id });
    else {
      const renamed = Object.entries(node.inputs).map(([name, ids]) => [
        name,
        typeof ids === 'string' ? idOf(ids) : ids.map(idOf),
      ]);
      this.#insert({ ...node, id, inputs: Object.fromEntries(renamed) });
    }
  }

  #insert(node: PlanNode): void {
    if (this.#nodes.has(node.id))
      throw new CrosspatchError(`plan: two nodes are called ${node.id}`, { id: 'internal' });
    this.#nodes.set(node.id, node);
  }

  /**
   * The nodes whose id, stage name or id prefix is `only` (all without it), and everything they need, in order.
   * Throws {@link InputError} naming what there is when nothing fits.
   */
  select(only?: string): readonly PlanNode[] {
    const all = this.nodes;
    if (only === undefined) return all;
    const fits = (n: PlanNode) =>
      n.id === only || n.id.startsWith(`${only}.`) || (n.kind === 'stage' && n.stage.name === only);
    const wanted = new Set(all.filter(fits).map((n) => n.id));
    if (wanted.size === 0) {
      const names = [...new Set(all.flatMap((n) => (n.kind === 'stage' ? [n.stage.name] : [])))];
      throw new InputError(`--only ${only}: no such stage; there are ${names.join(', ')}`, {
        id: 'stage-unknown',
      });
    }
    for (const node of all.toReversed())
      if (wanted.has(node.id)) for (const id of needs(node)) wanted.add(id);
    return all.filter((n) => wanted.has(n.id));
  }
}

/** Other arithmetic gives other figures, within rounding: so what is computed with it has other keys. */
function modelKey(sha256: string, { weights }: Omit<ManifestModel, 'sha256'>): string {
  const provider = modelProvider();
  if (provider !== 'cpu') return hashJson({ sha256, weights, provider });
  return weights === 'packed' ? hashJson({ sha256, weights }) : sha256;
}

/** What a stage's result hangs on; `inputs`: name → key, or keys, of what it reads. */
export interface KeyedContent {
  readonly stage: string;
  readonly version: string;
  readonly params: unknown;
  readonly seed: number;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** The key of a stage of a plan. */
export function stageKey({ stage, version, params, seed, inputs }: KeyedContent): string {
  return hashJson({ stage, version, params, seed, inputs });
}

/** Ids a node reads. */
export function needs(node: PlanNode): readonly string[] {
  return node.kind === 'source' ? [] : Object.values(node.inputs).flat();
}

/** SHA-256 of a file, or of a folder: names and contents of its files, hidden ones aside. */
export async function hashPath(path: string): Promise<string> {
  const info = await stat(path).catch((cause: unknown) => {
    throw new InputError(`${path}: not found; check the path or the name`, { id: 'file-unreadable', cause });
  });
  if (info.isFile()) return hashFile(path);
  const files = await listFiles(path);
  const visible = files.filter((file) => !file.split('/').some((part) => part.startsWith('.')));
  if (visible.length === 0) throw new InputError(`${path}: the folder is empty`, { id: 'file-unreadable' });
  const entries = await Promise.all(visible.map(async (file) => [file, await hashFile(join(path, file))]));
  return hashJson(entries);
}
