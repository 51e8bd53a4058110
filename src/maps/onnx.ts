/**
 * @file Export for ONNX Runtime: one file, input `activations` [rows, ds], output `mapped` [rows, dt], float32. Where the map came from
 * stands in the file's metadata.
 */
import { InputError, refuseForeignFile, writeFileAtomic } from '../base/index.ts';
import {
  add,
  emitOnnx,
  input,
  linear,
  mul,
  type Node,
  relu,
  scalar,
  slice,
  weight,
} from '../engine/index.ts';
import type { ActivationMap, MapEnd, MapKind } from './map.ts';

/** Nodes of the map: x [N,ds] → [N,dt]; `tensor` gives one of the map's own. */
type MapGraph = (x: Node, tensor: (name: string) => Node) => Node;

const affine: MapGraph = (x, tensor) => add(linear(x, tensor('weight')), tensor('bias'));

/** ONNX has no output without an input: 0 · x is added, of one column. */
const constant: MapGraph = (x, tensor) => add(mul(slice(x, 1, 0, 1), scalar(0, 'f32')), tensor('mean'));

const network: MapGraph = (x, tensor) =>
  add(
    linear(relu(add(linear(x, tensor('encoder.weight')), tensor('encoder.bias'))), tensor('decoder.weight')),
    tensor('decoder.bias'),
  );

const graphs = {
  affine,
  'affine-sgd': affine,
  autoencoder: network,
  mean: constant,
  identity: (x) => x,
  'token-mean': undefined,
  shuffled: affine,
  random: affine,
  pinv: affine,
  truncated: affine,
  reverse_ridge: affine,
} as const satisfies Record<MapKind, MapGraph | undefined>;

/** Write `map` for ONNX Runtime. Throws `InputError` for a token-mean, which does not look at activations, and for a file that is not its own. */
export async function exportOnnx(map: ActivationMap, path: string): Promise<void> {
  const build: MapGraph | undefined = graphs[map.kind];
  if (build === undefined)
    throw new InputError(
      `export onnx: a ${map.kind} map is looked up by token and does not see activations; export another kind`,
      { id: 'map-mismatch' },
    );
  const { tensors } = map.body;
  const x = input('activations', 'f32', ['rows', map.source.width]);
  const mapped = build(x, (name) => weight(name, 'f32', tensors[name].shape));
  const bytes = emitOnnx(
    { name: `crosspatch ${map.kind} map`, outputs: { mapped } },
    {
      weights: Object.fromEntries(
        Object.entries(tensors).map(([name, { shape, data }]) => [name, { dtype: 'f32', shape, data }]),
      ),
      metadata: metadataOf(map),
    },
  );
  await refuseForeignFile(path, (text) => text.includes(MARK));
  await writeFileAtomic(path, bytes);
}

/** Key of the metadata by which a file is known as ours. */
const MARK = 'crosspatch.kind';

function metadataOf({ record }: ActivationMap): Record<string, string> {
  const { kind, fit, source, target, sourceTokenizer, targetTokenizer, data, seed, rows, settings } = record;
  return {
    [MARK]: kind,
    'crosspatch.fit': fit,
    ...endOf('source', source),
    ...endOf('target', target),
    'crosspatch.source.tokenizer': sourceTokenizer,
    'crosspatch.target.tokenizer': targetTokenizer,
    'crosspatch.normalisation':
      'none: activations go in and come out as the models have them; the scaling of the fit is in the weights',
    'crosspatch.data': data,
    'crosspatch.seed': String(seed),
    'crosspatch.rows': String(rows),
    'crosspatch.settings': JSON.stringify(settings),
  };
}

function endOf(
  side: 'source' | 'target',
  { name, model, hook, block, width }: MapEnd,
): Record<string, string> {
  const at = `crosspatch.${side}`;
  return {
    [`${at}.model`]: name,
    [`${at}.sha256`]: model,
    [`${at}.hook`]: hook,
    [`${at}.block`]: String(block),
    [`${at}.width`]: String(width),
  };
}
