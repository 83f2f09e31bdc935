/**
 * Tensors as JavaScript holds them: a type, extents, and a typed array or strings.
 *
 * A tensor never shares memory with the engine: inputs are copied when a run starts (or moved, when asked), outputs arrive
 * in buffers of their own.
 */

import { InferError } from "./errors.js";
import type { ImageFeed } from "./image.js";
import { type ElementType, type PortInfo, type WireInput, WORTH_MOVING, type WireTensor } from "./messages.js";

export type { ElementType, PortInfo } from "./messages.js";

/**
 * The array that holds the elements of each type. `float16`, `bfloat16` and the floats of eight bits are the bits of each number.
 * `int4` and `uint4` are bytes of two elements each, the first in the lower half; of an odd number of elements the last byte has
 * one.
 */
export interface ElementArrays {
  float32: Float32Array<ArrayBuffer>;
  float64: Float64Array<ArrayBuffer>;
  float16: Uint16Array<ArrayBuffer>;
  bfloat16: Uint16Array<ArrayBuffer>;
  int8: Int8Array<ArrayBuffer>;
  int16: Int16Array<ArrayBuffer>;
  int32: Int32Array<ArrayBuffer>;
  int64: BigInt64Array<ArrayBuffer>;
  uint8: Uint8Array<ArrayBuffer>;
  uint16: Uint16Array<ArrayBuffer>;
  uint32: Uint32Array<ArrayBuffer>;
  uint64: BigUint64Array<ArrayBuffer>;
  bool: Uint8Array<ArrayBuffer>;
  string: string[];
  float8e4m3fn: Uint8Array<ArrayBuffer>;
  float8e4m3fnuz: Uint8Array<ArrayBuffer>;
  float8e5m2: Uint8Array<ArrayBuffer>;
  float8e5m2fnuz: Uint8Array<ArrayBuffer>;
  int4: Uint8Array<ArrayBuffer>;
  uint4: Uint8Array<ArrayBuffer>;
}

/** Any typed array that a tensor can be made of. */
export type TypedArray =
  | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | BigInt64Array
  | Uint8Array | Uint8ClampedArray | Uint16Array | Uint32Array | BigUint64Array;

/** @internal The array that holds the elements of each type. */
export const ARRAYS = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, bfloat16: Uint16Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array, bool: Uint8Array,
  float8e4m3fn: Uint8Array, float8e4m3fnuz: Uint8Array, float8e5m2: Uint8Array, float8e5m2fnuz: Uint8Array,
  int4: Uint8Array, uint4: Uint8Array,
} as const;

/** Types whose arrays are bytes that say nothing of their meaning. */
const BYTES: ReadonlySet<ElementType> = new Set(["bool", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "int4", "uint4"]);

/** The type that a bare typed array means, by the name of its constructor. */
const MEANT: Readonly<Record<string, ElementType>> = {
  Float32Array: "float32", Float64Array: "float64", Float16Array: "float16", Int8Array: "int8", Int16Array: "int16",
  Int32Array: "int32", BigInt64Array: "int64", Uint8Array: "uint8", Uint8ClampedArray: "uint8", Uint16Array: "uint16",
  Uint32Array: "uint32", BigUint64Array: "uint64",
};

/** An array of numbers or strings with extents, row-major. */
export class Tensor<T extends ElementType = ElementType> {
  readonly type: T;
  readonly dims: readonly number[];
  /** The elements: not copied when the tensor is made. */
  readonly data: ElementArrays[T];

  /**
   * A tensor over `data`; without `dims`, of one dimension, and of an even number of elements where two share a byte.
   * @throws InferError `invalid-input` when the data does not fit the type or the extents.
   */
  constructor(type: T, data: TypedArray | readonly (number | bigint | boolean | string)[], dims?: readonly number[]);
  /** @internal With `isSound`, of extents that are frozen and data that is known to fit them. */
  constructor(type: T, data: unknown, dims: readonly number[] | undefined, isSound: boolean);
  constructor(type: T, data: unknown, dims?: readonly number[], isSound = false) {
    if (isSound) {
      this.type = type;
      this.dims = dims as readonly number[];
      this.data = data as ElementArrays[T];
      return;
    }
    if (type !== "string" && !(type in ARRAYS)) {
      throw new InferError("invalid-input", `no element type is named ${JSON.stringify(type)}`);
    }
    this.type = type;
    this.data = elements(type, data as TypedArray | readonly unknown[]) as ElementArrays[T];
    this.dims = Object.freeze([...(dims ?? [this.data.length * (isPacked(type) ? 2 : 1)])]);
    if (!this.dims.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
      throw new InferError("invalid-input", `extents are whole numbers from 0 on, not [${this.dims}]`);
    }
    const length = arrayLength(type, this.dims);
    if (length !== this.data.length) {
      const unit = isPacked(type) ? "byte" : "element";
      const has = `${this.data.length} ${unit}${this.data.length === 1 ? "" : "s"}`;
      throw new InferError("invalid-input", `a tensor of shape [${this.dims}] has ${length} ${unit}s; the data has ${has}`);
    }
  }

  /** How many elements there are. */
  get size(): number {
    return isPacked(this.type) ? count(this.dims) : this.data.length;
  }

  /** The same elements with other extents. */
  reshape(dims: readonly number[]): Tensor<T> {
    return new Tensor(this.type, this.data as TypedArray, dims);
  }

  /**
   * A copy of the box that begins at `from` and has the extents `size`: a region of interest.
   * @throws InferError `out-of-range` when it is not inside, `unsupported` for elements that share bytes.
   */
  region(from: readonly number[], size: readonly number[]): Tensor<T> {
    if (isPacked(this.type)) throw new InferError("unsupported", `elements of type ${this.type} share bytes: they have no regions`);
    const inside = from.length === this.dims.length && size.length === this.dims.length
      && this.dims.every((extent, i) => (from[i] ?? -1) >= 0 && (size[i] ?? -1) >= 0 && (from[i] ?? 0) + (size[i] ?? 0) <= extent);
    if (!inside) {
      throw new InferError("out-of-range", `the region [${from}] + [${size}] is not inside of [${this.dims}]`);
    }
    const copy = this.type === "string" ? new Array<string>(count(size)) : new ARRAYS[this.type as Exclude<T, "string">](count(size));
    copyBox(this.data as unknown as Row, this.dims, copy as unknown as Row, from, size);
    return new Tensor(this.type, copy as TypedArray, size);
  }
}

/** What a model takes for an input. */
export type Feed = Tensor | TypedArray | readonly string[] | ImageFeed;

/** Product of the extents. */
export function count(dims: readonly number[]): number {
  let product = 1;
  for (let axis = 0; axis < dims.length; axis++) product *= dims[axis]!;
  return product;
}

/** Whether two elements share a byte. */
export function isPacked(type: string): boolean {
  return type === "int4" || type === "uint4";
}

/** How long the array of a tensor is. */
export function arrayLength(type: string, dims: readonly number[]): number {
  return isPacked(type) ? Math.ceil(count(dims) / 2) : count(dims);
}

/** A tensor on its way, and what it moves. */
export interface Packed {
  readonly tensor: WireInput;
  readonly transfer: Transferable[];
}

/**
 * What a user gave for a port as a tensor that fits it. Nothing is copied.
 * @throws InferError `invalid-input`, naming the port; `in-use`, when its data was moved away.
 */
export function fitting(port: PortInfo, index: number, feed: Feed): Tensor {
  const tensor = asTensor(port, index, feed);
  fit(port, index, tensor);
  return tensor;
}

/**
 * Makes of what a user gave for a port what is sent to a worker: a copy, in `spare` if that fits, or with `move` the user's own
 * buffer.
 * @throws InferError as {@link fitting}.
 */
export function pack(port: PortInfo, index: number, feed: Feed, move: boolean, spare?: ArrayBuffer): Packed {
  const tensor = fitting(port, index, feed);
  const { type, dims } = tensor;
  if (type === "string") return { tensor: { type, dims, data: [...(tensor.data as string[])] }, transfer: [] };
  const view = tensor.data as Exclude<TypedArray, never>;
  const whole = view.byteOffset === 0 && view.byteLength === view.buffer.byteLength;
  // A view of shared memory, or of a part of a buffer, cannot be moved alone.
  if (move && whole && view.buffer instanceof ArrayBuffer) return { tensor: { type, dims, data: view.buffer }, transfer: [view.buffer] };
  const data = spare && spare.byteLength === view.byteLength ? filled(spare, view) : copied(view);
  return { tensor: { type, dims, data }, transfer: data.byteLength < WORTH_MOVING ? [] : [data] };
}

/** Closes pictures that are not sent after all: a frame of a camera is given back. */
export function letGo(inputs: readonly WireInput[]): void {
  for (const input of inputs) if (input.type === "image" && "close" in input.pixels) input.pixels.close();
}

/** A tensor that arrived. */
export function unpack(wire: WireTensor | Tensor): Tensor {
  if (wire instanceof Tensor) return wire;
  if (wire.type === "string") return new Tensor("string", wire.data as readonly string[], wire.dims);
  return new Tensor(wire.type, new ARRAYS[wire.type](wire.data as ArrayBuffer) as TypedArray, wire.dims);
}

/** Zeros for a port whose extents are all known. */
export function zeros(port: PortInfo): Tensor | undefined {
  if (port.dims === null || port.dims.some((extent) => extent === null) || port.type === "string") return undefined;
  const dims = port.dims as readonly number[];
  return new Tensor(port.type, new ARRAYS[port.type](arrayLength(port.type, dims)), dims);
}

/** A port as error messages show it. */
export function show(side: string, index: number, port: PortInfo): string {
  return `${side} #${index} ${JSON.stringify(port.name)}`;
}

function filled(target: ArrayBuffer, { buffer, byteOffset, byteLength }: TypedArray): ArrayBuffer {
  new Uint8Array(target).set(new Uint8Array(buffer, byteOffset, byteLength));
  return target;
}

/** A copy of what an array shows. */
export function copied(view: TypedArray): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = view;
  if (buffer instanceof ArrayBuffer) return buffer.slice(byteOffset, byteOffset + byteLength);
  const bytes = new Uint8Array(byteLength);
  bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
  return bytes.buffer;
}

function elements(type: ElementType, data: TypedArray | readonly unknown[]): TypedArray | readonly string[] {
  if (type === "string") {
    if (Array.isArray(data) && data.every((element) => typeof element === "string")) return data;
    throw new InferError("invalid-input", "a tensor of strings takes an array of strings");
  }
  const Wanted = ARRAYS[type];
  if (Array.isArray(data)) {
    try {
      // A BigInt of half a number is refused; of a number that is whole, it is the same.
      const numbers = type === "bool" ? data.map(Number) : type === "int64" || type === "uint64" ? data.map(BigInt) : data;
      return new (Wanted as unknown as new (data: readonly unknown[]) => TypedArray)(numbers);
    } catch (cause) {
      throw new InferError("invalid-input", `these elements are not of type ${type}`, { cause });
    }
  }
  if (ArrayBuffer.isView(data)) {
    if (data instanceof Wanted) return data;
    const given = (data as TypedArray).constructor.name;
    const same = given === "Float16Array" && type === "float16" || given === "Uint8ClampedArray" && type === "uint8";
    if (same) return new Wanted(data.buffer as ArrayBuffer, data.byteOffset, (data as TypedArray).length) as TypedArray;
    throw new InferError("invalid-input", `a tensor of type ${type} takes a ${Wanted.name}, not a ${given}`);
  }
  throw new InferError("invalid-input", "the data of a tensor is a typed array or an array");
}

/** Gives a bare array the extents of its port; one open extent is what is left. */
function asTensor(port: PortInfo, index: number, feed: Feed): Tensor {
  if (feed instanceof Tensor) return feed;
  const name = show("input", index, port);
  const isStrings = Array.isArray(feed);
  if (!isStrings && !ArrayBuffer.isView(feed)) {
    throw new InferError("invalid-input", `${name} takes a Tensor or a typed array, not ${feed === null ? "null" : typeof feed} (pictures: see the option images of compile)`);
  }
  const data = feed as TypedArray | readonly string[];
  let type = isStrings ? "string" : MEANT[(data as TypedArray).constructor.name];
  // Bytes say nothing of their meaning: they are what the port takes.
  if (type === "uint8" && BYTES.has(port.type) || type === "uint16" && (port.type === "float16" || port.type === "bfloat16")) type = port.type;
  if (type === undefined) throw new InferError("invalid-input", `${name} takes a Tensor or a typed array`);
  if (type !== port.type) throw new InferError("invalid-input", `${name} takes ${port.type}, not ${type}`);
  const dims = port.dims;
  const open = dims?.filter((extent) => extent === null).length ?? 2;
  if (dims === null || open > 1) {
    throw new InferError("invalid-input", `${name} has several open extents: give a Tensor, which says its own`);
  }
  const known = count(dims.map((extent) => extent ?? 1));
  const packed = isPacked(type);
  const left = known === 0 ? 0 : data.length * (packed ? 2 : 1) / known;
  if (open === 0 ? data.length !== arrayLength(type, [known]) : !Number.isInteger(left)) {
    const wanted = dims.map((extent) => extent ?? "?").join(", ");
    throw new InferError("invalid-input", `${name} takes [${wanted}], which ${data.length} ${packed ? "bytes" : "elements"} do not fill`);
  }
  return new Tensor(type, data, dims.map((extent) => extent ?? left));
}

function fit(port: PortInfo, index: number, tensor: Tensor): void {
  if (tensor.type !== port.type) throw new InferError("invalid-input", `${show("input", index, port)} takes ${port.type}, not ${tensor.type}`);
  const { dims } = port;
  let fits = dims === null || dims.length === tensor.dims.length;
  for (let i = 0; fits && dims && i < dims.length; i++) fits = dims[i] === null || dims[i] === tensor.dims[i];
  if (!fits) {
    const wanted = dims?.map((extent) => extent ?? "?").join(", ");
    throw new InferError("invalid-input", `${show("input", index, port)} takes the shape [${wanted}], not [${tensor.dims.join(", ")}]`);
  }
  const detached = tensor.type !== "string" && (tensor.data as TypedArray).length !== arrayLength(tensor.type, tensor.dims);
  if (detached) throw new InferError("in-use", `the data of ${show("input", index, port)} was moved away by an earlier run`);
}

type Row = ArrayLike<unknown> & { [index: number]: unknown };

function copyBox(from: Row, dims: readonly number[], to: Row, start: readonly number[], size: readonly number[]): void {
  const total = count(size);
  const at = start.map(() => 0);
  for (let index = 0; index < total; index++) {
    let offset = 0;
    for (let axis = 0; axis < dims.length; axis++) offset = offset * (dims[axis] ?? 1) + (start[axis] ?? 0) + (at[axis] ?? 0);
    to[index] = from[offset];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at[axis] = (at[axis] ?? 0) + 1;
      if ((at[axis] ?? 0) < (size[axis] ?? 0)) break;
      at[axis] = 0;
    }
  }
}
