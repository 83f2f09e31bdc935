/**
 * `Tensor` with the constructors and the life of onnxruntime-web's. Its data is always in the page's memory.
 */

import { InferError } from "../errors.js";
import type { ImageSource } from "../image.js";
import type { FromImageOptions } from "./picture.js";
import { type ElementType, Tensor as Ours, type TypedArray, arrayLength, count } from "../tensor.js";

/** The arrays of each type. `float16` is a `Float16Array` where the browser has it. */
export interface DataTypeMap {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
  string: string[];
  /** Two elements a byte, the first in the lower half. */
  uint4: Uint8Array;
  int4: Int8Array;
}

type Data = DataTypeMap[keyof DataTypeMap] | Uint8ClampedArray;
type Elements = readonly (number | bigint | boolean | string)[];

/** A tensor by its parts; `location` is `cpu` or `cpu-pinned`, which are the same here. */
export interface TensorParts<T extends keyof DataTypeMap = keyof DataTypeMap> {
  readonly location: string;
  readonly type: T;
  readonly data?: DataTypeMap[T];
  readonly dims: readonly number[];
}

type NumberArrays = Record<string, { new (buffer: ArrayBufferLike, at: number, length: number): Data; from(elements: Elements, map?: (element: never) => unknown): Data }>;

const Half = (globalThis as { Float16Array?: NumberArrays[string] }).Float16Array;

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, float16: Half ?? Uint16Array, int8: Int8Array, int16: Int16Array, int32: Int32Array,
  int64: BigInt64Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array, bool: Uint8Array,
  uint4: Uint8Array, int4: Int8Array,
} as unknown as NumberArrays;

/** An array with a type and extents. */
export class Tensor<T extends keyof DataTypeMap = keyof DataTypeMap> {
  readonly type: T;
  readonly dims: readonly number[];
  /** How many elements the extents make. */
  readonly size: number;
  #data: DataTypeMap[T] | undefined;
  #location: "cpu" | "cpu-pinned" | "none" = "cpu";

  /** Of a type, with an array of it or its elements; without `dims`, of one dimension. */
  constructor(type: T, data: DataTypeMap[T] | Uint8ClampedArray | Elements, dims?: readonly number[]);
  /** Of the type that the array means: strings, booleans, or that of a typed array. */
  constructor(data: Data | Elements, dims?: readonly number[]);
  /** Of its parts. */
  constructor(parts: TensorParts<T>);
  constructor(first: T | Data | Elements | TensorParts<T>, second?: Data | Elements | readonly number[], third?: readonly number[]) {
    let type: string;
    let data: Data;
    let dims: unknown;
    if (typeof first === "string") {
      [type, dims] = [first, third];
      data = array(type, second as Data | Elements);
    } else if (Array.isArray(first) || ArrayBuffer.isView(first)) {
      type = meant(first as Data | Elements);
      [data, dims] = [array(type, first as Data | Elements), second];
    } else {
      const parts = first as TensorParts<T> | null;
      if (parts?.location !== "cpu" && parts?.location !== "cpu-pinned") {
        const code = parts?.location === undefined ? "invalid-input" : "unsupported";
        throw new InferError(code, `a tensor at ${JSON.stringify(parts?.location)} is not possible here: only at "cpu"`);
      }
      ({ type, dims } = parts);
      data = array(type, parts.data as Data);
      this.#location = parts.location;
    }
    dims ??= [data.length];
    if (!Array.isArray(dims) || !dims.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
      throw new InferError("invalid-input", "the extents of a tensor are an array of whole numbers from 0 on");
    }
    this.type = type as T;
    this.dims = dims;
    this.size = count(dims);
    this.#data = data as DataTypeMap[T];
    const length = arrayLength(type, dims);
    if (length !== data.length) {
      throw new InferError("invalid-input", `a tensor of shape [${dims}] has ${length} elements, not ${data.length}`);
    }
  }

  /** A tensor over an array that nothing copies. */
  static fromPinnedBuffer<T extends Exclude<keyof DataTypeMap, "string">>(type: T, data: DataTypeMap[T], dims?: readonly number[]): Tensor<T> {
    return new Tensor<T>({ location: "cpu-pinned", type, data, dims: dims ?? [data.length] });
  }

  /** A picture, or what lies at an address, as `[1, 3, height, width]`; drawn and read on this thread. */
  static async fromImage(image: ImageSource | string, options: FromImageOptions = {}): Promise<Tensor<"float32">> {
    const { elementsOf } = await import("./picture.js");
    const { data, dims } = await elementsOf(image, options);
    return new Tensor("float32", data, dims);
  }

  /** The elements. @throws InferError `disposed` */
  get data(): DataTypeMap[T] {
    if (this.#data === undefined) throw new InferError("disposed", "the tensor was disposed");
    return this.#data;
  }

  /** Where the elements are; `none` when the tensor was disposed. */
  get location(): "cpu" | "cpu-pinned" | "none" {
    return this.#location;
  }

  /** The elements. With `release` the tensor is empty afterwards. */
  async getData(release = false): Promise<DataTypeMap[T]> {
    const { data } = this;
    if (release) this.dispose();
    return data;
  }

  /** The same elements with other extents. */
  reshape(dims: readonly number[]): Tensor<T> {
    return new Tensor(this.type, this.data, dims);
  }

  /** Lets go of the elements. */
  dispose(): void {
    this.#data = undefined;
    this.#location = "none";
  }
}

/** The tensor that a model takes. Others of the same shape will do: a program may have two of these classes. */
export function toOurs(name: string, value: unknown): Ours {
  const { type, data, dims } = (value ?? {}) as Partial<Tensor>;
  if (type === undefined || data === undefined || dims === undefined) {
    throw new InferError("invalid-input", `the input ${JSON.stringify(name)} takes a Tensor`);
  }
  const bytes = type === "int4" ? sameBytes(Uint8Array, data as unknown as Int8Array) : data;
  return new Ours(type as ElementType, bytes as TypedArray, dims);
}

/** The tensor of a result. */
export function fromOurs({ type, data, dims }: Ours): Tensor {
  const bytes = type === "int4" ? sameBytes(Int8Array, data as Uint8Array) : data;
  const value = type === "float16" && Half ? array(type, data as unknown as Data) : bytes;
  return new Tensor(type as keyof DataTypeMap, value as Data, [...dims]);
}

/** The same bytes as another array. */
function sameBytes<A>(Wanted: new (buffer: ArrayBufferLike, at: number, length: number) => A, { buffer, byteOffset, length }: Uint8Array | Int8Array): A {
  return new Wanted(buffer, byteOffset, length);
}

/** The array of a type, over or from what was given. */
function array(type: string, data: Data | Elements): Data {
  if (type === "string" && Array.isArray(data)) return data as string[];
  if (type === "string") throw new InferError("invalid-input", "a tensor of strings takes an array of strings");
  const Wanted = Object.hasOwn(ARRAYS, type) ? ARRAYS[type] : undefined;
  if (!Wanted) throw new InferError("unsupported", `tensors of ${type} are not possible here`);
  if (data instanceof (Wanted as unknown as typeof Float32Array)) return data as Data;
  const bits = type === "float16" && data instanceof Uint16Array;
  if (bits) return new Wanted(data.buffer, data.byteOffset, data.length);
  if (type === "uint8" && data instanceof Uint8ClampedArray) return Wanted.from(data as unknown as Elements);
  // Of numbers, an array of bits would be made.
  const isList = Array.isArray(data) && !(type === "float16" && !Half);
  if (!isList) throw new InferError("invalid-input", `a tensor of ${type} takes a ${(Wanted as unknown as typeof Float32Array).name}`);
  try {
    return type.endsWith("int64") ? Wanted.from(data, BigInt) : Wanted.from(data);
  } catch (cause) {
    throw new InferError("invalid-input", `these elements are not of type ${type}`, { cause });
  }
}

/** The type that an array alone means. */
function meant(data: Data | Elements): string {
  if (Array.isArray(data)) {
    const first = typeof data[0];
    if (first === "string") return first;
    if (first === "boolean") return "bool";
    throw new InferError("invalid-input", "of an array of numbers, the type has to be said");
  }
  if (data instanceof Uint8ClampedArray) return "uint8";
  const found = Object.keys(ARRAYS).find((type) => data instanceof (ARRAYS[type] as unknown as typeof Float32Array) && type !== "bool");
  if (!found) throw new InferError("invalid-input", "the data of a tensor is a typed array or an array");
  // Without Float16Array, 16 bits without a sign are a number.
  return found === "float16" && !Half ? "uint16" : found;
}
