/**
 * `InferenceSession` over a model of this package.
 *
 * Runs of a session may overlap, and compute at the same time in several workers; inputs stay the caller's. What an option
 * cannot do here is said once on the console, unless nobody could tell the difference.
 */

import type { CompileOptions } from "../compile.js";
import { InferError } from "../errors.js";
import type { Model } from "../model.js";
import type { Source } from "../source.js";
import type { PortInfo } from "../tensor.js";
import { env } from "./env.js";
import { Tensor, fromOurs, toOurs } from "./tensor.js";
import type { Fetches, InferenceSession, InferenceSessionFactory, RunOptions, SessionOptions, ValueMetadata, Values } from "./types.js";

/** The `compile` of the place. */
type Compile = (source: Source, options: CompileOptions) => Promise<Model>;

/** The class of sessions that are compiled so. */
export function sessions(compile: Compile): InferenceSessionFactory {
  return class InferenceSession extends Session {
    static async create(source: string | ArrayBufferLike | Uint8Array, ...rest: readonly unknown[]): Promise<Session> {
      const { bytes, options } = given(source, rest);
      return new this(await compile(bytes, compileOptions(options)), options);
    }
  };
}

class Session implements InferenceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly ValueMetadata[];
  readonly outputMetadata: readonly ValueMetadata[];
  readonly model: Model;

  constructor(model: Model, options: SessionOptions) {
    this.model = model;
    this.inputNames = model.inputs.map(({ name }) => name);
    this.outputNames = model.outputs.map(({ name }) => name);
    this.inputMetadata = model.inputs.map(metadata);
    this.outputMetadata = model.outputs.map(metadata);
    if (options.enableProfiling) this.startProfiling();
  }

  async run(feeds: Values, second?: Fetches | RunOptions, third?: RunOptions): Promise<Record<string, Tensor>> {
    if (typeof feeds !== "object" || feeds === null || "dims" in feeds) {
      throw new InferError("invalid-input", `a run takes an object of tensors by the names ${this.inputNames.join(", ")}`);
    }
    const { places, options } = this.#asked(second, third);
    if (options.terminate) throw new InferError("cancelled", "the run was given terminate: true");
    const inputs = Object.entries(feeds).filter(([, value]) => value !== undefined);
    const { signal, timeout, priority } = options;
    const results = await this.model.run(Object.fromEntries(inputs.map(([name, value]) => [name, toOurs(name, value)])), {
      outputs: [...places.keys()],
      signal,
      timeout,
      priority,
    });
    return Object.fromEntries(Object.entries(results).map(([name, value]) => [name, place(name, fromOurs(value), places.get(name))]));
  }

  async release(): Promise<void> {
    this.model.dispose();
  }

  startProfiling(): void {
    this.model.runtime.trace.start();
  }

  endProfiling(): void {
    this.model.runtime.trace.stop();
  }

  /** The outputs that are wanted, each with the tensor that it goes to, if any. */
  #asked(second: Fetches | RunOptions | undefined, third: RunOptions | undefined): { places: Map<string, Tensor | null>; options: RunOptions } {
    const all = new Map(this.outputNames.map((name): [string, null] => [name, null]));
    if (second === undefined) return { places: all, options: third ?? {} };
    if (typeof second !== "object" || second === null || "dims" in second) {
      throw new InferError("invalid-input", "the second argument of a run is the outputs to bring, or options");
    }
    const options = third ?? {};
    if (Array.isArray(second)) {
      if (second.length === 0) throw new InferError("invalid-input", "a run is asked for one output at least");
      return { places: new Map(second.map((name: string) => [name, null])), options };
    }
    const named = Object.entries(second).filter(([name, value]) => all.has(name) && (value === null || "dims" in value));
    return named.length > 0 ? { places: new Map(named), options } : { places: all, options: second as RunOptions };
  }
}

/** A result, or the tensor that it was to be copied to. */
function place(name: string, result: Tensor, target: Tensor | null | undefined): Tensor {
  if (!target) return result;
  if (target.type !== result.type || target.size !== result.size) {
    const [is, has] = [result, target].map(({ type, dims }) => `${type} [${dims.join(", ")}]`);
    throw new InferError("invalid-input", `the output ${JSON.stringify(name)} is ${is}, which a tensor of ${has} cannot take`);
  }
  if (target.type === "string") (target.data as string[]).splice(0, target.size, ...(result.data as string[]));
  else (target.data as Uint8Array).set(result.data as Uint8Array);
  return target;
}

function metadata({ name, type, dims }: PortInfo): ValueMetadata {
  return { name, isTensor: true, type: type as ValueMetadata["type"], shape: (dims ?? []).map((extent) => extent ?? "") };
}

/** Tells the forms of `create` apart. */
function given(source: string | ArrayBufferLike | Uint8Array, rest: readonly unknown[]): { bytes: Source; options: SessionOptions } {
  const last = rest.find((value) => typeof value === "object" && value !== null) as SessionOptions | undefined;
  const options = last ?? {};
  if (typeof source === "string" || ArrayBuffer.isView(source)) return { bytes: source as Source, options };
  const isBuffer = source instanceof ArrayBuffer || typeof SharedArrayBuffer !== "undefined" && source instanceof SharedArrayBuffer;
  if (!isBuffer) throw new InferError("invalid-input", "a session is made of an address, an ArrayBuffer or a Uint8Array");
  const [at = 0, length] = rest.filter((value) => typeof value === "number");
  try {
    const view = new Uint8Array(source, at, length);
    // A Blob is not made of shared memory.
    return { bytes: source instanceof ArrayBuffer ? view : view.slice(), options };
  } catch (cause) {
    throw new InferError("out-of-range", `a buffer of ${source.byteLength} bytes has no ${length ?? "bytes"} from ${at} on`, { cause });
  }
}

function compileOptions(options: SessionOptions): CompileOptions {
  if (options.externalData?.length) throw new InferError("unsupported", "a model whose weights lie in other files is not possible here");
  for (const provider of options.executionProviders ?? []) {
    const name = typeof provider === "string" ? provider : provider?.name;
    if (name !== "wasm" && name !== "cpu") tell(`there is no execution provider ${JSON.stringify(name)}: the model runs on the processor`);
  }
  const locations = options.preferredOutputLocation ?? "cpu";
  const elsewhere = Object.values(typeof locations === "string" ? [locations] : locations).find((place) => !/^cpu/.test(place));
  if (elsewhere) tell(`outputs are at "cpu", not at ${JSON.stringify(elsewhere)}`);
  if (options.optimizedModelFilePath) tell("the optimised model is not written to a file");
  const asked = options.intraOpNumThreads ?? env.wasm.numThreads;
  const threads = asked !== undefined && asked >= 1 ? Math.floor(asked) : undefined;
  const dims = options.freeDimensionOverrides;
  return {
    ...(threads && { threads }),
    ...(dims && { shapes: Object.fromEntries(Object.entries(dims).map(([name, extent]) => [name, [extent]])) }),
    ...(options.enableProfiling && { profiling: true }),
    ...options.inferry,
  };
}

const told = new Set<string>();

function tell(what: string): void {
  if (told.has(what)) return;
  told.add(what);
  console.warn(`inferry/ort: ${what}`);
}
