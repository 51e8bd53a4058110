/** @file One decoder block as a graph whose weights are inputs: for training sessions, and in float64 for the oracle. */
import { CrosspatchError } from '../base/index.ts';
import { type Graph, input, linear, type Node } from '../engine/index.ts';
import {
  type BlockRole,
  type BlockWeights,
  blockTensorName,
  blockTensors,
  type ModelConfig,
  wholeBlock,
} from '../models/index.ts';
import { adapted, allLoraTargets, factorName, factorOf, type LoraOptions } from './adapters.ts';

/** A weight of a block as an input of its graph. */
export interface BlockInput {
  /** Name in the graph. */
  readonly input: string;
  /** Full parameter name. */
  readonly name: string;
  readonly shape: readonly number[];
}

/** Every weight block `layer` reads, adapter factors after the matrix they sit on. */
export function blockInputs(c: ModelConfig, layer: number, lora?: LoraOptions): BlockInput[] {
  return Object.entries(blockTensors(c)).flatMap(([role, t]): BlockInput[] => {
    const name = blockTensorName(layer, t.name);
    const own = { input: role, name, shape: t.shape };
    if (!carriesAdapter(role, lora)) return [own];
    const [out, inner] = t.shape as [number, number];
    return [
      own,
      { input: factorName(role as BlockRole, 'A'), name: factorOf(name, 'A'), shape: [lora.rank, inner] },
      { input: factorName(role as BlockRole, 'B'), name: factorOf(name, 'B'), shape: [out, lora.rank] },
    ];
  });
}

/** One block: x [B,T,D], cos and sin [B,T,E/2], mask [B,1,T,T] → post [B,T,D]; inputs as {@link blockInputs} names them. */
export function blockGraph(c: ModelConfig, lora?: LoraOptions, dtype: 'f32' | 'f64' = 'f32'): Graph {
  const tensors = blockTensors(c);
  const made = new Map<string, Node>();
  const once = (name: string, shape: readonly number[]): Node => {
    const node = made.get(name) ?? input(name, dtype, shape);
    made.set(name, node);
    return node;
  };
  const tensor = (role: BlockRole): Node => {
    const t = tensors[role];
    if (t === undefined)
      throw new CrosspatchError(`block graph: this family has no ${role}`, { id: 'graph-invalid' });
    return once(role, t.shape);
  };
  const weights: BlockWeights = {
    tensor,
    project: (x, role) => {
      const w = tensor(role);
      if (!carriesAdapter(role, lora)) return linear(x, w);
      const [out, inner] = w.shape as [number, number];
      const a = once(factorName(role, 'A'), [lora.rank, inner]);
      const b = once(factorName(role, 'B'), [out, lora.rank]);
      return adapted(x, w, { a, b }, lora);
    },
  };
  const half = c.headDim / 2;
  const { post } = wholeBlock(
    c,
    weights,
    input('x', dtype, ['B', 'T', c.dModel]),
    input('cos', dtype, ['B', 'T', half]),
    input('sin', dtype, ['B', 'T', half]),
    input('mask', dtype, ['B', 1, 'T', 'T']),
  );
  return { name: 'block', outputs: { post } };
}

function carriesAdapter(role: string, lora: LoraOptions | undefined): lora is LoraOptions {
  const targets: readonly string[] = lora?.targets ?? allLoraTargets;
  return lora !== undefined && targets.includes(role);
}
