/** @file The ONNX side of emission: collects nodes and constants, then encodes one ModelProto. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProtoSchema,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import type { Shape } from '../shape.ts';
import type { DType, Tensor } from '../tensor.ts';

/** Where a weight's bytes lie: a file (name relative to the session's external data folder), offset and length in bytes. */
export interface ExternalData {
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
}

type AttributeValue = number | string | readonly number[] | { readonly float: number };

/** ai.onnx 23 brings RotaryEmbedding and Attention; ONNX Runtime 1.30 runs it on the CPU provider. */
const OPSET = 23n;
const IR_VERSION = 11n;

/** What a file for others is written for: ONNX Runtime from 1.12 on, without kernels of its own. */
const INTERCHANGE = { opset: 17n, irVersion: 8n };

const dataType = {
  f32: DataType.FLOAT,
  f64: DataType.DOUBLE,
  i64: DataType.INT64,
  bool: DataType.BOOL,
  f16: DataType.FLOAT16,
  bf16: DataType.BFLOAT16,
  u8: DataType.UINT8,
} as const satisfies Record<DType, DataType>;

/** The ONNX number of a dtype, for Cast. */
export function onnxType(dtype: DType): number {
  return dataType[dtype];
}

function attribute(name: string, value: AttributeValue) {
  if (typeof value === 'number')
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === 'string') {
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  }
  if ('float' in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

function valueInfo(name: string, dtype: DType, shape: Shape) {
  const dim = shape.map((d) => ({
    value:
      typeof d === 'number'
        ? ({ case: 'dimValue', value: BigInt(d) } as const)
        : ({ case: 'dimParam', value: d } as const),
  }));
  return create(ValueInfoProtoSchema, {
    name,
    type: { value: { case: 'tensorType', value: { elemType: dataType[dtype], shape: { dim } } } },
  });
}

/** Builds one ONNX graph; value names are given by the caller or numbered. */
export class OnnxWriter {
  readonly #nodes: ReturnType<typeof create<typeof NodeProtoSchema>>[] = [];
  readonly #initializers: ReturnType<typeof create<typeof TensorProtoSchema>>[] = [];
  readonly #inputs: ReturnType<typeof valueInfo>[] = [];
  readonly #outputs: ReturnType<typeof valueInfo>[] = [];
  readonly #integers = new Map<string, string>();
  #next = 0;

  /** A fresh value name; the colon keeps it apart from the names of inputs and outputs. */
  fresh(hint: string): string {
    return `${hint}:${this.#next++}`;
  }

  input(name: string, dtype: DType, shape: Shape): void {
    this.#inputs.push(valueInfo(name, dtype, shape));
  }

  output(name: string, dtype: DType, shape: Shape): void {
    this.#outputs.push(valueInfo(name, dtype, shape));
  }

  /** A tensor written into the model. Returns its name. */
  constant(value: Tensor, name: string = this.fresh('c')): string {
    const { buffer, byteOffset, byteLength } = value.data;
    this.#initializers.push(
      create(TensorProtoSchema, {
        name,
        dataType: dataType[value.dtype],
        dims: value.shape.map(BigInt),
        rawData: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength),
      }),
    );
    return name;
  }

  /** A 1-D int64 constant, shared between equal ones. */
  integers(values: readonly number[]): string {
    const key = values.join(',');
    let name = this.#integers.get(key);
    if (name === undefined) {
      name = this.constant({
        dtype: 'i64',
        shape: [values.length],
        data: BigInt64Array.from(values.map(BigInt)),
      });
      this.#integers.set(key, name);
    }
    return name;
  }

  /** A tensor whose bytes stay in a file. */
  external(name: string, dtype: DType, shape: readonly number[], data: ExternalData): void {
    this.#initializers.push(
      create(TensorProtoSchema, {
        name,
        dataType: dataType[dtype],
        dims: shape.map(BigInt),
        dataLocation: DataLocation.EXTERNAL,
        externalData: [
          { key: 'location', value: data.file },
          { key: 'offset', value: String(data.offset) },
          { key: 'length', value: String(data.byteLength) },
        ],
      }),
    );
  }

  /** One node; `others` are its outputs after the first. Returns the first output's name. */
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    {
      domain = '',
      output = this.fresh(opType.toLowerCase()),
      others = [],
    }: { domain?: string; output?: string; others?: readonly string[] } = {},
  ): string {
    this.#nodes.push(
      create(NodeProtoSchema, {
        opType,
        domain,
        name: output,
        input: [...inputs],
        output: [output, ...others],
        attribute: Object.entries(attributes).map(([k, v]) => attribute(k, v)),
      }),
    );
    return output;
  }

  /** Call `value` by another name, if the node written last makes it; says whether it does. Nothing has used it yet. */
  renameLast(value: string, name: string): boolean {
    const last = this.#nodes.at(-1);
    if (last?.output[0] !== value) return false;
    last.output[0] = name;
    return true;
  }

  /** The encoded model; with `metadata`, a file for other programs. */
  encode(graphName: string, metadata?: Readonly<Record<string, string>>): Uint8Array {
    const { opset, irVersion } =
      metadata === undefined ? { opset: OPSET, irVersion: IR_VERSION } : INTERCHANGE;
    const own = metadata === undefined ? [{ domain: 'com.microsoft', version: 1n }] : [];
    const model = create(ModelProtoSchema, {
      irVersion,
      producerName: 'crosspatch',
      opsetImport: [{ domain: '', version: opset }, ...own],
      metadataProps: Object.entries(metadata ?? {}).map(([key, value]) => ({ key, value })),
      graph: create(GraphProtoSchema, {
        name: graphName,
        node: this.#nodes,
        initializer: this.#initializers,
        input: this.#inputs,
        output: this.#outputs,
      }),
    });
    return toBinary(ModelProtoSchema, model);
  }
}
