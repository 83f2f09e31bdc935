/**
 * The object `env`, as onnxruntime-web has it: here almost nothing in it has an effect, and nothing in it is needed.
 */

/** Settings of the WebAssembly backend. */
export interface WasmFlags {
  /** Threads for each run, where workers share a memory; read when a session is made. 0: the default. */
  numThreads?: number;
  /** Without effect: the build is chosen by what the browser can do. */
  simd?: boolean | "fixed" | "relaxed";
  /** Without effect: runs are always in workers. */
  proxy?: boolean;
  /** Without effect: the package finds its own files. */
  wasmPaths?: string | { readonly wasm?: string | URL; readonly mjs?: string | URL };
  /** Without effect, as `wasmPaths`. */
  wasmBinary?: ArrayBufferLike | Uint8Array;
  /** Without effect: `signal` and `timeout` stop what takes too long. */
  initTimeout?: number;
  /** Without effect. */
  trace?: boolean;
}

/** What programs set before the first session. */
export interface Env {
  /** Without effect. */
  logLevel?: "verbose" | "info" | "warning" | "error" | "fatal";
  /** Without effect. */
  debug?: boolean;
  /** Without effect: see `startProfiling`. */
  trace?: boolean;
  /** `common` and `web` are the version of onnxruntime-web whose shapes these are. */
  readonly versions: { readonly common: string; readonly web: string };
  readonly wasm: WasmFlags;
  /** Without effect. */
  readonly webgl: Record<string, unknown>;
  /** Without effect. */
  readonly webgpu: Record<string, unknown>;
  [name: string]: unknown;
}

/** The one of the program. */
export const env: Env = {
  logLevel: "warning",
  versions: { common: "1.30.0", web: "1.30.0" },
  wasm: {},
  webgl: {},
  webgpu: {},
};
