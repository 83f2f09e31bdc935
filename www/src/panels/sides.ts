/**
 * The two libraries of the bench behind one face, each as it comes.
 */

import { type PortInfo, type Runtime, Tensor, compile } from "inferry";

import ortCode from "../../node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs?url";
import ortWasm from "../../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm?url";

/** An input with its values. */
export interface Input {
  readonly name: string;
  readonly type: PortInfo["type"];
  readonly dims: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | Int8Array;
}

/** A model that has been opened. */
export interface Side {
  /** Runs it once; gives the numbers of the outputs, in order. */
  run(inputs: readonly Input[], signal: AbortSignal): Promise<readonly ArrayLike<number | bigint>[]>;
  close(): void | Promise<void>;
}

/** Ours, on the page's runtime. */
export async function ours(model: Blob, runtime: Runtime, signal: AbortSignal): Promise<Side & { readonly inputs: readonly PortInfo[] }> {
  const made = await compile(model, { runtime, signal });
  return {
    inputs: made.inputs,
    run: async (inputs, signal) => {
      const feeds = Object.fromEntries(inputs.map(({ name, type, dims, data }) => [name, new Tensor(type, data, dims)]));
      const outputs = await made.run(feeds, { signal });
      return made.outputs.map(({ name }) => outputs[name]?.data as ArrayLike<number>);
    },
    close: () => made.dispose(),
  };
}

/** What of onnxruntime-web is used here. */
interface Ort {
  readonly env: { logLevel: string; readonly wasm: { wasmPaths: unknown; proxy: boolean; numThreads: number } };
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{
      readonly outputNames: readonly string[];
      run(feeds: object): Promise<Record<string, { readonly data: ArrayLike<number | bigint> }>>;
      release(): Promise<void>;
    }>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => unknown;
}

/**
 * Theirs: fetched when it is first asked for, some 14 MB. `proxy` puts it into a worker; it can be chosen before the first
 * session only.
 */
export async function theirs(model: Blob, proxy: boolean): Promise<Side> {
  const ort = (await import(/* @vite-ignore */ new URL(ortCode, import.meta.url).href)) as Ort;
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm: new URL(ortWasm, import.meta.url).href };
  ort.env.wasm.proxy = proxy;
  const session = await ort.InferenceSession.create(new Uint8Array(await model.arrayBuffer()), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  return {
    run: async (inputs) => {
      // The proxy moves the buffers of its inputs away.
      const feeds = inputs.map(({ name, type, dims, data }) => [name, new ort.Tensor(type, proxy ? data.slice() : data, dims)]);
      const outputs = await session.run(Object.fromEntries(feeds));
      return session.outputNames.map((name) => outputs[name]?.data ?? []);
    },
    close: () => session.release(),
  };
}
