/**
 * From a source to a model: fetch, hand it to a worker, follow the progress, stop when asked.
 */

import { pause } from "./engine/pause.js";
import { InferError } from "./errors.js";
import type { Loading } from "./host.js";
import type { ImagesOption } from "./image.js";
import type { EnginePhase, Limits, PortInfo } from "./messages.js";
import { Model, type QueueOptions, type StateOption } from "./model.js";
import type { Platform } from "./platform.js";
import { Runtime, type RuntimeOptions } from "./runtime.js";
import { type Arrived, type CacheOption, type Source, WHAT, bytes, nameOf } from "./source.js";
import { aborted, onAbort } from "./stop.js";

/**
 * How far a compilation is. `done` never falls within a phase, and phases follow each other in this order. A model with open
 * extents is packed in its first run, and has no phase `pack` before, unless `shapes` says them.
 */
export interface Progress {
  readonly phase: "fetch" | "cache" | EnginePhase;
  /** Bytes while fetching and parsing, nodes afterwards. */
  readonly done: number;
  /** `undefined` when a server did not say. */
  readonly total: number | undefined;
}

/** How a model is compiled, queued and run. */
export interface CompileOptions extends RuntimeOptions, QueueOptions {
  /** A runtime to share workers with, instead of one made for `executor`, `workers` and `threads`. */
  readonly runtime?: Runtime | undefined;
  /** Aborting stops the fetch and the compilation. */
  readonly signal?: AbortSignal | undefined;
  /** Called as it gets on. */
  readonly onprogress?: ((progress: Progress) => void) | undefined;
  /** Whether a fetched model is kept in the Cache API and taken from there; on by default. `reload` fetches it anew. */
  readonly cache?: CacheOption | undefined;
  /** Inputs that requests keep to themselves, with the outputs that give their next values. */
  readonly state?: StateOption | undefined;
  /** Extents for inputs whose own are open, so that everything is prepared before the first run. */
  readonly shapes?: Readonly<Record<string, readonly number[]>> | undefined;
  /** How much a run may ask for: for models that come from anywhere. */
  readonly limits?: Limits | undefined;
  /** Inputs that take pictures besides tensors, and what is done to those before. */
  readonly images?: ImagesOption | undefined;
  /** Measures each node of each run, for `getProfilingInfo`. */
  readonly profiling?: boolean | undefined;
  /** Up to so many runs on zeros before the promise resolves, for 30 ms at most, when the shapes are known; 2 by default. */
  readonly warmUps?: number | undefined;
}

/** Runtimes that models share unless they have their own, by what was asked of them. */
const shared = new Map<string, Promise<Runtime>>();

/** Compiles a model; see `index.ts`. */
export async function compileOn(platform: Platform, source: Source, options: CompileOptions): Promise<Model> {
  const { signal } = options;
  if (signal?.aborted) throw aborted(signal, WHAT);
  // Workers that are made in a way of one's own cannot be shared: they end with the model.
  const owned = !options.runtime && options.worker !== undefined;
  const runtime = options.runtime ?? (await (owned ? Runtime.create(platform, options) : sharedRuntime(platform, options)));
  try {
    return await compiledOn(runtime, source, options, owned);
  } catch (error) {
    if (owned) runtime.dispose();
    throw error;
  }
}

async function compiledOn(runtime: Runtime, source: Source, options: CompileOptions, owned: boolean): Promise<Model> {
  const { signal, onprogress } = options;
  const { platform } = runtime;
  // The engine is fetched and compiled beside the model; a failure is told when it is needed.
  platform.engine(runtime.flavour).catch(() => undefined);
  const arrived: Arrived | undefined = onprogress && ((phase, done, total) => onprogress({ phase, done, total }));
  const { cache = true } = options;
  const blob = await bytes(source, { signal, cache, arrived, readFile: platform.readFile });
  if (signal?.aborted) throw aborted(signal, WHAT);
  if (runtime.disposed) throw new InferError("disposed", "the runtime was disposed");
  const { inputs, outputs, id } = await load(runtime, blob, nameOf(source), options);
  await pause();
  try {
    const images = options.images && new (await import("./image.js")).ImageInputs(inputs, options.images);
    const model = new Model(runtime, id, inputs, outputs, { ...options, images, owned });
    await pause();
    return model;
  } catch (error) {
    runtime.host.models.delete(id);
    runtime.host.raw.remove(id);
    throw error;
  }
}

/** What the engine says of a model. */
interface Loaded {
  readonly id: number;
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
}

function load(runtime: Runtime, source: Blob, name: string, options: CompileOptions): Promise<Loaded> {
  const { signal, onprogress, profiling = false, warmUps = 2, shapes, limits } = options;
  for (const [name, limit] of Object.entries(limits ?? {})) {
    if (typeof limit !== "number" || !(limit >= 0)) throw new InferError("invalid-input", `limits: ${name} is a number from 0 on, not ${String(limit)}`);
  }
  const { host } = runtime;
  const id = host.number();
  return new Promise<Loaded>((resolve, reject) => {
    const stop = (): void => {
      host.models.delete(id);
      host.raw.remove(id);
      reject(aborted(signal as AbortSignal, WHAT));
    };
    const deaf = onAbort(signal, stop);
    const model: Loading = {
      id,
      name,
      source,
      options: { profiling, warmUps, ...(shapes && { shapes }), ...(limits && { limits }) },
      progress: ({ phase, done, total }) => onprogress?.({ phase, done, total }),
      loaded: (inputs, outputs) => {
        deaf();
        // A worker that loads it later has nothing to tell the user.
        model.progress = model.loaded = () => undefined;
        resolve({ id, inputs, outputs });
      },
      refused: (error) => {
        deaf();
        reject(error);
      },
    };
    host.models.set(id, model);
    host.raw.add(id, source.size);
  });
}

function sharedRuntime(platform: Platform, options: RuntimeOptions): Promise<Runtime> {
  const { executor = "auto", workers, threads } = options;
  const key = JSON.stringify([executor, workers, threads]);
  let runtime = shared.get(key);
  if (!runtime) {
    runtime = Runtime.create(platform, options);
    shared.set(key, runtime);
    runtime.catch(() => shared.delete(key));
  }
  return runtime.then((ready) => {
    if (!ready.disposed) return ready;
    shared.delete(key);
    return sharedRuntime(platform, options);
  });
}
