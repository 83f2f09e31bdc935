/**
 * Element types as the engine counts them, and how many bytes one element has.
 */

import type { ElementType } from "../messages.js";

/** In the order of the engine's `ElementType::ALL`: the position is the number that crosses. */
export const ELEMENTS: readonly ElementType[] = [
  "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
  "float16", "bfloat16", "float32", "float64", "string",
  "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "int4", "uint4",
];

const SIZES: Readonly<Record<ElementType, number>> = {
  bool: 1, int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1, uint16: 2, uint32: 4, uint64: 8,
  float16: 2, bfloat16: 2, float32: 4, float64: 8, string: 0,
  float8e4m3fn: 1, float8e4m3fnuz: 1, float8e5m2: 1, float8e5m2fnuz: 1, int4: 0.5, uint4: 0.5,
};

/** Bytes of so many elements; of strings, none are counted. */
export function byteLength(type: ElementType, dims: readonly number[]): number {
  // Of an odd number of halves, the last has a byte to itself.
  return Math.ceil(dims.reduce((count, extent) => count * extent, SIZES[type]));
}
