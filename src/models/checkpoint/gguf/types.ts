/** @file The element types of GGUF tensors: block sizes, and which of them we turn into floats. */
import { type Dequantise, dequantisers } from './dequantise.ts';

/** One tensor type of GGML. */
export interface GgmlType {
  readonly name: string;
  /** Values a block. */
  readonly values: number;
  /** Bytes a block. */
  readonly bytes: number;
  /** Block decoder; absent for types we refuse. */
  readonly dequantise?: Dequantise;
}

function type(name: string, values: number, bytes: number): GgmlType {
  const dequantise = dequantisers[name];
  return dequantise === undefined ? { name, values, bytes } : { name, values, bytes, dequantise };
}

/** By the type id in the file (`enum ggml_type` of ggml.h). The refused ones are here to be named and measured. */
export const ggmlTypes: ReadonlyMap<number, GgmlType> = new Map([
  [0, type('F32', 1, 4)],
  [1, type('F16', 1, 2)],
  [2, type('Q4_0', 32, 18)],
  [3, type('Q4_1', 32, 20)],
  [6, type('Q5_0', 32, 22)],
  [7, type('Q5_1', 32, 24)],
  [8, type('Q8_0', 32, 34)],
  [9, type('Q8_1', 32, 40)],
  [10, type('Q2_K', 256, 84)],
  [11, type('Q3_K', 256, 110)],
  [12, type('Q4_K', 256, 144)],
  [13, type('Q5_K', 256, 176)],
  [14, type('Q6_K', 256, 210)],
  [15, type('Q8_K', 256, 292)],
  [16, type('IQ2_XXS', 256, 66)],
  [17, type('IQ2_XS', 256, 74)],
  [18, type('IQ3_XXS', 256, 98)],
  [19, type('IQ1_S', 256, 50)],
  [20, type('IQ4_NL', 32, 18)],
  [21, type('IQ3_S', 256, 110)],
  [22, type('IQ2_S', 256, 82)],
  [23, type('IQ4_XS', 256, 136)],
  [24, type('I8', 1, 1)],
  [25, type('I16', 1, 2)],
  [26, type('I32', 1, 4)],
  [27, type('I64', 1, 8)],
  [28, type('F64', 1, 8)],
  [29, type('IQ1_M', 256, 56)],
  [30, type('BF16', 1, 2)],
  [34, type('TQ1_0', 256, 54)],
  [35, type('TQ2_0', 256, 66)],
  [39, type('MXFP4', 32, 17)],
]);

/** Names of the types we can read, for messages. */
export const readableTypes: readonly string[] = [...ggmlTypes.values()]
  .filter((t) => t.dequantise !== undefined)
  .map((t) => t.name);
