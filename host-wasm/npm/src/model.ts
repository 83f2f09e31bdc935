/**
 * A compiled model: run it, queue runs, make requests of it.
 */

import { Jobs as RawJobs, type Model as RawModel } from "../wasm/inferry_wasm.js";
import { InferError, fromPair } from "./errors.js";
import type { Job } from "./host.js";
import type { ImageInputs } from "./image.js";
import type { NodeProfile, PortInfo, WireInput, WireTensor } from "./messages.js";
import { type Items, transformOf } from "./ordered.js";
import { Pipeline, type Stage } from "./pipeline.js";
import { InferRequest } from "./request.js";
import { whole, type Runtime } from "./runtime.js";
import { aborted, late, onAbort } from "./stop.js";
import { type StreamItem, type StreamOptions, streamOf } from "./stream.js";
import { type Feed, type Packed, type Tensor, fitting, letGo, pack, show, unpack, zeros } from "./tensor.js";

/** What becomes of a run for which there is no room in the queue. */
export type Overflow = "block" | "reject" | "drop-oldest" | "latest";

/** Tensors by the names of ports. */
export type Feeds = Readonly<Record<string, Feed>>;

/** The outputs of a run, by name. */
export type Outputs = Record<string, Tensor>;

/** A variable: an output that becomes an input of the next run of a request. */
export interface StatePair {
  readonly output: string;
  /** The value before the first run and after a reset; zeros when it is missing. */
  readonly initial?: Tensor;
}

/** Which inputs a request keeps to itself, and the outputs that they get their next values from. */
export type StateOption = Readonly<Record<string, string | StatePair>>;

/** How one run is run. */
export interface RunOptions {
  /** Aborting stops the run: in the queue, or in the middle of a kernel. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which the run is stopped and rejected with the code `timeout`. */
  readonly timeout?: number | undefined;
  /** Runs of higher priority leave the queue first. */
  readonly priority?: "low" | "normal" | "high" | undefined;
  /** The outputs to bring, by name; all when it is missing. */
  readonly outputs?: readonly string[] | undefined;
  /** Moves the buffers of the inputs instead of copying them: the arrays given are empty afterwards. */
  readonly transfer?: boolean | undefined;
}

/** How the queue of a model is made. */
export interface QueueOptions {
  /** So many runs of {@link Model.run} are under way at the same time; by default as many as there may be workers. */
  readonly slots?: number | undefined;
  /** So many more may wait; by default 1024. */
  readonly queue?: number | undefined;
  /** What becomes of more than that. */
  readonly overflow?: Overflow | undefined;
}

const PRIORITIES = { low: -1, normal: 0, high: 1 } as const;

/** @internal A promise's reaction comes soonest, and still after whoever is at it now. */
export const NOW = Promise.resolve();

/** Larger buffers are not kept for the next run: they weigh more than they cost. */
const MOST_KEPT = 65_536;

/** @internal A variable with its ports. */
export interface Variable {
  readonly input: number;
  readonly output: number;
  readonly name: string;
  readonly initial: Tensor;
}

interface Pending {
  readonly job: Job;
  readonly resolve: (outputs: Outputs) => void;
  readonly reject: (error: InferError) => void;
  readonly done: () => void;
}

/** A model that workers have loaded. */
export class Model {
  /** The inputs that a run takes, in the model's order, without those that are variables. */
  readonly inputs: readonly PortInfo[];
  /** The outputs that a run gives, in the model's order, without those that are variables. */
  readonly outputs: readonly PortInfo[];
  /** The names of the variables that a request keeps. */
  readonly variables: readonly string[];
  /** So many runs of {@link Model.run} are under way at the same time. */
  readonly slots: number;
  /** The runtime whose workers run it. */
  readonly runtime: Runtime;
  /** @internal */
  readonly ports: { readonly inputs: readonly PortInfo[]; readonly outputs: readonly PortInfo[] };
  /** @internal */
  readonly states: readonly Variable[];
  /** @internal The inputs that take pictures. */
  readonly images: ImageInputs | undefined;
  /** @internal */
  readonly raw: RawModel;
  /** The variables as a run of {@link Model.run} begins. */
  readonly #initial: ReadonlyMap<string, Tensor>;
  /** For each input the name of its variable, if it is one. */
  readonly #variables: readonly (string | undefined)[];
  /** Whether all that goes in and out is numbers. */
  readonly #isPlain: boolean;
  #id: number;
  #queue: RawJobs;
  /** For each input a buffer of an earlier run on this thread, to be filled again: a new one costs as much as a tiny model. */
  #spare: (ArrayBuffer | undefined)[] = [];
  #pending = new Map<number, Pending>();
  /** How many runs were computed at once and have not settled. */
  #once = 0;
  #requests = new Set<WeakRef<InferRequest>>();
  #disposed = false;
  #owned: boolean;

  /** @internal */
  constructor(
    runtime: Runtime,
    id: number,
    inputs: readonly PortInfo[],
    outputs: readonly PortInfo[],
    options: QueueOptions & { readonly images?: ImageInputs | undefined; readonly state?: StateOption | undefined; readonly owned: boolean },
  ) {
    this.runtime = runtime;
    this.ports = { inputs, outputs };
    this.states = joined(inputs, outputs, options.state ?? {});
    this.inputs = inputs.filter((_, index) => this.states.every((state) => state.input !== index));
    this.outputs = outputs.filter((_, index) => this.states.every((state) => state.output !== index));
    this.variables = this.states.map((state) => state.name);
    this.#initial = new Map(this.states.map((state) => [state.name, state.initial]));
    this.#variables = inputs.map((_, index) => this.states.find((state) => state.input === index)?.name);
    this.images = options.images;
    this.#isPlain = !this.images && [...inputs, ...outputs].every((port) => port.type !== "string");
    this.#id = id;
    this.#owned = options.owned;
    this.raw = runtime.raw(id);
    this.slots = whole("slots", options.slots, 1, 1024, runtime.limit);
    const waiting = whole("queue", options.queue, 0, 1_000_000, 1024);
    try {
      this.#queue = new RawJobs(this.raw, this.slots, waiting, options.overflow ?? "block", this.#over);
    } catch (thrown) {
      throw fromPair(thrown);
    }
  }

  /**
   * Runs the model once, when it is this run's turn. Variables begin anew: a {@link Model.createInferRequest} keeps them.
   *
   * The inputs are copied before this returns; a picture that the browser copies later is taken as it is now. The promise is rejected with an {@link InferError}; one run's error is nobody
   * else's.
   */
  run(feeds: Feeds | readonly Feed[], options: RunOptions = {}): Promise<Outputs> {
    const job = this.#pending.size > 0 ? undefined : this.atOnce(feeds, this.#initial, options);
    if (!job) return this.#enqueue(feeds, options);
    this.#once++;
    return NOW.then(() => {
      this.#once--;
      const error = this.runtime.host.settle(job, this.stopped(options.signal));
      if (error) throw error;
      return this.results(job);
    });
  }

  async #enqueue(feeds: Feeds | readonly Feed[], options: RunOptions): Promise<Outputs> {
    this.check();
    const { signal, timeout } = options;
    if (signal?.aborted) throw aborted(signal);
    const began = timeout === undefined ? 0 : performance.now();
    let given = this.named(feeds);
    const pictures = this.images?.settle(given, options.transfer === true);
    if (pictures) {
      given = await pictures;
      this.#still(given, signal);
    }
    const job = this.job(given, this.#initial, options);
    return new Promise((resolve, reject) => {
      const left = timeout === undefined ? 0 : timeout - (pictures ? performance.now() - began : 0);
      const timer = timeout === undefined ? undefined : setTimeout(() => this.#stop(job, late(timeout)), left);
      const deaf = onAbort(signal, () => this.#stop(job, aborted(signal as AbortSignal)));
      const done = (): void => {
        if (timer !== undefined) clearTimeout(timer);
        deaf();
      };
      this.#pending.set(job.id, { job, resolve, reject, done });
      this.#queue.submit(job.id, PRIORITIES[options.priority ?? "normal"]);
    });
  }

  /** A request: tensors that stay bound, a callback, a state, one run at a time. */
  createInferRequest(): InferRequest {
    this.check();
    const request = new InferRequest(this);
    for (const known of this.#requests) if (!known.deref()) this.#requests.delete(known);
    this.#requests.add(new WeakRef(request));
    return request;
  }

  /**
   * Runs the model on each item of a source: a generator, an array, a `ReadableStream` of inputs.
   *
   * The results come in the order of the items; no more is read from the source than is taken here. A model with variables
   * runs on one request, so that each item begins with what the one before left. Leaving the loop stops what is under way and
   * ends the source.
   */
  stream(source: Items<StreamItem>, options: StreamOptions & { readonly errors: "yield" }): AsyncIterableIterator<Outputs | InferError>;
  stream(source: Items<StreamItem>, options?: StreamOptions): AsyncIterableIterator<Outputs>;
  stream(source: Items<StreamItem>, options: StreamOptions = {}): AsyncIterableIterator<Outputs | InferError> {
    this.check();
    return streamOf(this, source, options);
  }

  /** As {@link Model.stream}, for `pipeThrough`. */
  transform(options: StreamOptions & { readonly errors: "yield" }): TransformStream<StreamItem, Outputs | InferError>;
  transform(options?: StreamOptions): TransformStream<StreamItem, Outputs>;
  transform(options: StreamOptions = {}): TransformStream<StreamItem, Outputs> {
    this.check();
    return transformOf((source) => streamOf<Outputs>(this, source, options));
  }

  /** This model and what follows; the same as {@link pipeline} with the model first. */
  pipeline<B>(b: Stage<Outputs, B>): Pipeline<Feeds, B>;
  pipeline<B, C>(b: Stage<Outputs, B>, c: Stage<B, C>): Pipeline<Feeds, C>;
  pipeline<B, C, D>(b: Stage<Outputs, B>, c: Stage<B, C>, d: Stage<C, D>): Pipeline<Feeds, D>;
  pipeline<B, C, D, E>(b: Stage<Outputs, B>, c: Stage<B, C>, d: Stage<C, D>, e: Stage<D, E>): Pipeline<Feeds, E>;
  pipeline(...stages: readonly Stage<never, unknown>[]): Pipeline<Feeds, unknown> {
    return new Pipeline([this, ...stages]);
  }

  /** Whether runs are computed on the calling thread at the moment, because they are shorter than the way to a worker. */
  get onPage(): boolean {
    return !this.#disposed && this.runtime.host.isHere(this.#id);
  }

  /** How many runs of {@link Model.run} wait for a slot. */
  get queued(): number {
    return this.#disposed ? 0 : this.#queue.queued;
  }

  /** How many runs of {@link Model.run} have not settled. */
  get pending(): number {
    return this.#pending.size + this.#once;
  }

  /** Frees the model in all workers. What is pending is rejected with the code `disposed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const error = new InferError("disposed", "the model was disposed");
    for (const { job } of this.#pending.values()) this.#stop(job, error);
    for (const request of this.#requests) request.deref()?.dispose();
    this.#queue.close();
    this.runtime.host.models.delete(this.#id);
    if (this.#owned) this.runtime.dispose();
    else if (!this.runtime.disposed) this.runtime.host.raw.remove(this.#id);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /** @internal */
  check(): void {
    if (this.#disposed) throw new InferError("disposed", "the model was disposed");
    if (this.runtime.disposed) throw new InferError("disposed", "the runtime was disposed");
  }

  /** @internal Why a run that nothing else stands in the way of should not end as done, if so. */
  stopped(signal: AbortSignal | undefined): InferError | undefined {
    try {
      this.check();
      return signal?.aborted ? aborted(signal) : undefined;
    } catch (error) {
      return error as InferError;
    }
  }

  /**
   * @internal A job that is done when this returns, if an engine on this thread has the model and nothing is in the way: see
   * `engine/once.ts`. `undefined`: it takes the ordinary way, which finds out whatever is wrong.
   */
  atOnce(given: Feeds | readonly Feed[] | ReadonlyMap<string, Feed>, states: ReadonlyMap<string, Tensor>, options: RunOptions): Job | undefined {
    const { host } = this.runtime;
    try {
      if (host.own === undefined || !this.#isPlain || options.transfer || this.stopped(options.signal)) return undefined;
      const map = given instanceof Map ? given : undefined;
      const list = Array.isArray(given);
      if ((map ? map.size : (list ? given : Object.keys(given)).length) !== this.inputs.length) return undefined;
      const inputs: Tensor[] = [];
      const { inputs: ports } = this.ports;
      let next = 0;
      for (let index = 0; index < ports.length; index++) {
        const port = ports[index]!;
        const variable = this.#variables[index];
        const feed = variable !== undefined ? states.get(variable) : map ? map.get(port.name) : (given as Feeds)[list ? next++ : port.name];
        inputs.push(fitting(port, index, feed as Feed));
      }
      return host.atOnce(this.#id, inputs, this.#wanted(options.outputs));
    } catch {
      return undefined;
    }
  }

  /** @internal What was given, by the names of the inputs. */
  named(feeds: Feeds | readonly Feed[]): Map<string, Feed> {
    return named(this.inputs, feeds);
  }

  /** @internal Makes a job of what a user gave. */
  job(given: ReadonlyMap<string, Feed>, states: ReadonlyMap<string, Tensor>, options: Pick<RunOptions, "outputs" | "transfer">): Job {
    const wanted = this.#wanted(options.outputs);
    const inputs: WireInput[] = [];
    const transfer: Transferable[] = [];
    try {
      this.ports.inputs.forEach((port, index) => {
        const state = this.states.find((state) => state.input === index);
        const feed = state ? states.get(state.name) : given.get(port.name);
        if (feed === undefined) throw new InferError("invalid-input", `${show("input", index, port)} is missing`);
        const packed = this.pack(port, index, feed, options.transfer === true && !state);
        if (packed.transfer.some((buffer) => transfer.includes(buffer))) {
          throw new InferError("in-use", `${show("input", index, port)} shares its buffer with another input, and both cannot be moved`);
        }
        inputs.push(packed.tensor);
        transfer.push(...packed.transfer);
      });
    } catch (error) {
      letGo(inputs);
      this.images?.forget(given);
      throw error;
    }
    const moves = options.transfer === true || inputs.some((input) => input.type === "image");
    return this.runtime.host.job(inputs, transfer, moves, wanted);
  }

  /** @internal What is sent for an input. */
  pack(port: PortInfo, index: number, feed: Feed, move: boolean): Packed {
    const picture = this.images?.pack(port, feed, move);
    if (picture) return picture;
    const spare = this.#spare[index];
    this.#spare[index] = undefined;
    return pack(port, index, feed, move, spare);
  }

  /** @internal A job is over: keeps what it does not need any more. */
  reuse({ spent }: Job): void {
    if (!spent || this.#disposed) return;
    for (let index = 0; index < spent.length; index++) {
      const data = (spent[index] as WireTensor).data;
      if (data instanceof ArrayBuffer && data.byteLength > 0 && data.byteLength <= MOST_KEPT) this.#spare[index] = data;
    }
  }

  /** @internal The outputs of a job, by name. */
  results(job: Job): Outputs {
    const outputs: Outputs = {};
    job.outputs?.forEach((wire, index) => {
      const port = this.ports.outputs[index];
      if (wire && port && this.states.every((state) => state.output !== index)) outputs[port.name] = unpack(wire);
    });
    return outputs;
  }

  /** @internal What each node did in a job. */
  profile(job: Job | undefined): readonly NodeProfile[] {
    return job?.profile ?? [];
  }

  #wanted(names: readonly string[] | undefined): readonly number[] | undefined {
    if (!names) return undefined;
    const asked = names.map((name) => {
      const index = this.ports.outputs.findIndex((port) => port.name === name);
      if (index < 0) throw unknown("output", name, this.outputs);
      return index;
    });
    return [...new Set([...asked, ...this.states.map((state) => state.output)])];
  }

  /** While pictures were copied, things may have changed. */
  #still(given: ReadonlyMap<string, Feed>, signal: AbortSignal | undefined): void {
    const error = this.stopped(signal);
    if (!error) return;
    this.images?.forget(given);
    throw error;
  }

  #stop(job: Job, error: InferError): void {
    job.error ??= error;
    this.#queue.cancel(job.id);
  }

  /** A job of the queue is over. */
  #over = (id: number, thrown: unknown): void => {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    pending.done();
    this.reuse(pending.job);
    const error = this.runtime.host.settle(pending.job, thrown);
    if (error) pending.reject(error);
    else pending.resolve(this.results(pending.job));
  };
}

/** @internal */
export function unknown(side: string, name: string | number, ports: readonly PortInfo[]): InferError {
  const there = ports.map((port) => JSON.stringify(port.name)).join(", ") || "none";
  const code = typeof name === "number" ? "out-of-range" : "not-found";
  return new InferError(code, `no ${side} ${typeof name === "number" ? `#${name}` : JSON.stringify(name)}; there is: ${there}`);
}

/** What was given, by the names of the ports. */
function named(ports: readonly PortInfo[], feeds: Feeds | readonly Feed[]): Map<string, Feed> {
  const isObject = typeof feeds === "object" && feeds !== null && !ArrayBuffer.isView(feeds) && !("dims" in feeds && "data" in feeds);
  if (!isObject) {
    throw new InferError("invalid-input", `a run takes an object of inputs by name, or an array of them in order (${ports.map((port) => port.name).join(", ")})`);
  }
  const entries = Array.isArray(feeds)
    ? feeds.map((feed: Feed, index): [string, Feed] => [ports[index]?.name ?? raise(unknown("input", index, ports)), feed])
    : Object.entries(feeds as Feeds);
  const given = new Map(entries);
  for (const name of given.keys()) {
    if (ports.every((port) => port.name !== name)) throw unknown("input", name, ports);
  }
  return given;
}

function raise(error: InferError): never {
  throw error;
}

/** Joins inputs and outputs into variables. */
function joined(inputs: readonly PortInfo[], outputs: readonly PortInfo[], option: StateOption): Variable[] {
  return Object.entries(option).map(([name, pair]) => {
    const { output: to, initial } = typeof pair === "string" ? { output: pair, initial: undefined } : pair;
    const [input, output] = [inputs.findIndex((port) => port.name === name), outputs.findIndex((port) => port.name === to)];
    const [from, end] = [inputs[input], outputs[output]];
    if (!from) throw unknown("input", name, inputs);
    if (!end) throw unknown("output", to, outputs);
    if (from.type !== end.type) {
      throw new InferError("invalid-input", `the variable ${JSON.stringify(name)} cannot go from ${end.type} to ${from.type}`);
    }
    const value = initial ?? zeros(from);
    if (!value) throw new InferError("invalid-input", `the variable ${JSON.stringify(name)} has open extents: give its initial value`);
    fitting(from, input, value);
    return { input, output, name, initial: value };
  });
}
