/**
 * The types that programs written for onnxruntime-web name. Of what has no meaning here only the shape is kept, so that such a
 * program still compiles.
 */

import type { CompileOptions } from "../compile.js";
import type { Model, RunOptions as OurRunOptions } from "../model.js";
import type { DataTypeMap, Tensor } from "./tensor.js";

/** Tensors by name. */
export type Values = Readonly<Record<string, Tensor>>;

/** The outputs to bring: their names, or an object of them with `null`, or with a tensor that the result is copied to. */
export type Fetches = readonly string[] | Readonly<Record<string, Tensor | null>>;

/** The name of a provider, or an object with it. `wasm` and `cpu` are this package; others are named on the console and left. */
export type ExecutionProvider = string | { readonly name: string; readonly [option: string]: unknown };

/** How a session is made. What is not described has no effect. */
export interface SessionOptions {
  readonly executionProviders?: readonly ExecutionProvider[];
  /** Threads for each run, where workers share a memory. */
  readonly intraOpNumThreads?: number;
  readonly interOpNumThreads?: number;
  /** Extents for the model's named dimensions. */
  readonly freeDimensionOverrides?: Readonly<Record<string, number>>;
  readonly graphOptimizationLevel?: "disabled" | "basic" | "extended" | "layout" | "all";
  readonly enableCpuMemArena?: boolean;
  readonly enableMemPattern?: boolean;
  readonly executionMode?: "sequential" | "parallel";
  readonly optimizedModelFilePath?: string;
  /** Measures every node of every run, and begins to trace. */
  readonly enableProfiling?: boolean;
  readonly profileFilePrefix?: string;
  readonly logId?: string;
  readonly logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
  readonly logVerbosityLevel?: number;
  /** Outputs are always at `cpu`. */
  readonly preferredOutputLocation?: string | Readonly<Record<string, string>>;
  readonly enableGraphCapture?: boolean;
  /** Not possible here: rejected when there is any. */
  readonly externalData?: readonly unknown[];
  readonly extra?: Record<string, unknown>;
  /** Options of this package's `compile`, for what the others have no word for: `signal`, `onprogress`, `executor`, … */
  readonly inferry?: CompileOptions;
}

/** How a session runs: what is described, and this package's `signal`, `timeout` and `priority`. */
export interface RunOptions extends Pick<OurRunOptions, "signal" | "timeout" | "priority"> {
  readonly logSeverityLevel?: 0 | 1 | 2 | 3 | 4;
  readonly logVerbosityLevel?: number;
  /** True: the run is rejected before it begins, as there. */
  readonly terminate?: boolean;
  readonly tag?: string;
  readonly extra?: Record<string, unknown>;
}

/** An input or output. An open extent is an empty string. */
export interface ValueMetadata {
  readonly name: string;
  readonly isTensor: true;
  readonly type: keyof DataTypeMap;
  readonly shape: readonly (number | string)[];
}

/** A model that can be run. */
export interface InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
  /** The model underneath: streams, requests, its queue. */
  readonly model: Model;
  /** Runs the model. Runs may overlap, and several compute at the same time. */
  run(feeds: Values, options?: RunOptions): Promise<Record<string, Tensor>>;
  run(feeds: Values, fetches: Fetches, options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Frees the model. Runs under way are rejected with the code `disposed`. */
  release(): Promise<void>;
  /** Begins to trace; see `session.model.runtime.trace`. */
  startProfiling(): void;
  /** Stops tracing; what was traced stays in `session.model.runtime.trace`. */
  endProfiling(): void;
}

/** Makes sessions. Every rejection is an `InferError`. */
export interface InferenceSessionFactory {
  /** From an address; in Node, a path too. */
  create(uri: string, options?: SessionOptions): Promise<InferenceSession>;
  create(buffer: ArrayBufferLike | Uint8Array, options?: SessionOptions): Promise<InferenceSession>;
  create(buffer: ArrayBufferLike, byteOffset: number, byteLength?: number, options?: SessionOptions): Promise<InferenceSession>;
}
