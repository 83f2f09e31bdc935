/**
 * A reusable request: bound tensors, one run at a time, a callback, and variables that it keeps from run to run.
 */

import { Request as RawRequest } from "../wasm/inferry_wasm.js";
import { InferError, fromPair } from "./errors.js";
import type { Job } from "./host.js";
import type { NodeProfile, PortInfo } from "./messages.js";
import { type Feeds, type Model, NOW, type Outputs, type RunOptions, unknown } from "./model.js";
import { aborted, late, onAbort } from "./stop.js";
import { type Feed, type Tensor, fitting, unpack } from "./tensor.js";

/** What a request is doing. */
export type RequestStatus = "idle" | "queued" | "running" | "delivering" | "done" | "failed" | "cancelled" | "timed-out";

/** Called once for every run, before its promise settles. Starting the request in it begins the next run when it returns. */
export type Callback = (error: InferError | null, request: InferRequest) => void;

/** What {@link InferRequest.waitFor} came to: the run is over, it goes on, or there has never been one. */
export type Waited = "finished" | "timeout" | "never-started";

/** How {@link InferRequest.startAsync} runs. */
export type StartOptions = Pick<RunOptions, "signal" | "timeout" | "outputs" | "transfer">;

/** A request of a {@link Model}. */
export class InferRequest {
  readonly #model: Model;
  readonly #raw: RawRequest;
  readonly #inputs = new Map<string, Feed>();
  #outputs: Outputs = {};
  #states: Map<string, Tensor>;
  #callback: Callback | null = null;
  /** Runs that have been started and have not settled, oldest first: one, or two while a callback has begun the next. */
  #jobs: Job[] = [];
  /** Stops a run whose pictures are being copied. */
  #preparing: AbortController | undefined;
  /** May reject. */
  #latest: Promise<unknown> | undefined;
  /** What became of the latest run, if that was computed at once: the module knows nothing of it. */
  #once: RequestStatus | undefined;
  #last: Job | undefined;
  /** What the callback threw, for the run that it was called for. */
  #thrown: unknown;
  #disposed = false;

  /** @internal */
  constructor(model: Model) {
    this.#model = model;
    this.#states = initial(model);
    try {
      this.#raw = new RawRequest(model.raw);
    } catch (thrown) {
      throw fromPair(thrown);
    }
    // The book of the variables is kept here, between the run and whoever starts the next.
    if (model.states.length > 0) this.#raw.set_callback(this.#delivered);
  }

  /** What it is doing at this moment. */
  get status(): RequestStatus {
    return this.#preparing ? "queued" : (this.#once ?? (this.#raw.status as RequestStatus));
  }

  /** The model. */
  get model(): Model {
    return this.#model;
  }

  /**
   * Binds a tensor, or a picture, to an input, for all runs from the next on. It is copied when a run starts.
   * @throws InferError `not-found`, `out-of-range`, `invalid-input`; `busy` while a run is under way.
   */
  setTensor(key: string | number, tensor: Feed): void {
    this.#idle();
    const port = find("input", this.#model.inputs, key);
    const index = this.#model.ports.inputs.indexOf(port);
    if (!this.#model.images?.takes(port, tensor)) fitting(port, index, tensor);
    this.#inputs.set(port.name, tensor);
  }

  /**
   * What is bound to an input, or the latest result of an output. Without a key, the only output.
   * @throws InferError `not-found`, `out-of-range`; `busy` while a run is under way.
   */
  getTensor(key?: string | number): Tensor | Feed | undefined {
    this.#idle();
    const { inputs, outputs } = this.#model;
    if (key === undefined) {
      if (outputs.length !== 1) throw unknown("output", "", outputs);
      return this.#outputs[outputs[0]?.name ?? ""];
    }
    if (typeof key === "number") return this.#outputs[find("output", outputs, key).name];
    if (outputs.some((port) => port.name === key)) return this.#outputs[key];
    return this.#inputs.get(find("input or output", [...inputs, ...outputs], key).name);
  }

  /**
   * Runs the model with the tensors that are bound. The promise gives the outputs when the callback has returned.
   *
   * In the callback, the run begins when that has returned. Else a start while a run is under way is rejected with `busy`.
   */
  startAsync(options: StartOptions = {}): Promise<Outputs> {
    const isFree = !this.#disposed && !this.#preparing && this.#jobs.length === 0;
    const job = isFree ? this.#model.atOnce(this.#inputs, this.#states, options) : undefined;
    if (!job) return this.#start(options);
    this.#jobs.push(job);
    this.#once = "running";
    const run = NOW.then(() => this.#end(job, job.error ?? this.#model.stopped(options.signal)));
    this.#latest = run;
    return run;
  }

  async #start(options: StartOptions): Promise<Outputs> {
    this.#alive();
    const { signal } = options;
    if (signal?.aborted) throw aborted(signal);
    if (this.#preparing || this.#jobs.length > 0 && !this.#calling) throw new InferError("busy", "the request is running");
    const pictures = this.#model.images?.settle(this.#inputs, options.transfer === true);
    if (!pictures) return this.#begin(this.#inputs, options);
    const whole = this.#prepare(pictures, options);
    this.#latest = whole;
    return whole;
  }

  /** A run whose pictures the browser has still to copy. It can be cancelled, and the time counts. */
  async #prepare(pictures: Promise<ReadonlyMap<string, Feed>>, options: StartOptions): Promise<Outputs> {
    const { signal, timeout } = options;
    const stop = new AbortController();
    this.#preparing = stop;
    const began = performance.now();
    let inputs: ReadonlyMap<string, Feed> | undefined;
    try {
      inputs = await pictures;
      if (signal?.aborted) throw aborted(signal);
      if (stop.signal.aborted) throw stop.signal.reason;
    } catch (error) {
      if (inputs) this.#model.images?.forget(inputs);
      throw error;
    } finally {
      this.#preparing = undefined;
    }
    const left = timeout === undefined ? undefined : Math.max(0, timeout - (performance.now() - began));
    return this.#begin(inputs, { ...options, timeout: left });
  }

  async #begin(inputs: ReadonlyMap<string, Feed>, { signal, timeout, ...options }: StartOptions): Promise<Outputs> {
    const job = this.#model.job(inputs, this.#states, options);
    let run: Promise<unknown>;
    try {
      run = this.#raw.start_async(job.id);
    } catch (thrown) {
      this.#model.runtime.host.settle(job, thrown);
      throw fromPair(thrown);
    }
    this.#jobs.push(job);
    this.#once = undefined;
    const stop = (error: InferError): void => {
      // One that a callback follows with the next run is over but for its promise; a cancel would hit the next.
      if (this.#jobs.at(-1) !== job) return;
      job.error ??= error;
      if (error.code === "timeout") this.#raw.expire();
      else this.#raw.cancel();
    };
    const timer = timeout === undefined ? undefined : setTimeout(() => stop(late(timeout)), timeout);
    const deaf = onAbort(signal, () => stop(aborted(signal as AbortSignal)));
    const settled = run.then(
      () => this.#settled(job, undefined),
      (thrown: unknown) => this.#settled(job, thrown),
    );
    const both = settled.finally(() => {
      clearTimeout(timer);
      deaf();
    });
    this.#latest = both;
    return both;
  }

  /** As {@link InferRequest.startAsync}, with inputs that are bound first. */
  async infer(feeds: Feeds | readonly Feed[], options: StartOptions = {}): Promise<Outputs> {
    for (const [name, feed] of this.#model.named(feeds)) this.setTensor(name, feed);
    return this.startAsync(options);
  }

  /** Sets what is called once per run, before its promise settles; `null` removes it. What it throws rejects the run. */
  setCallback(callback: Callback | null): void {
    this.#alive();
    this.#callback = callback;
    // The function that the module calls is the same for all.
    if (this.#calling) return;
    const wanted = callback !== null || this.#model.states.length > 0;
    try {
      this.#raw.set_callback(wanted ? this.#delivered : undefined);
    } catch (thrown) {
      throw fromPair(thrown);
    }
  }

  /** Waits until no run is under way, those that callbacks began included. Never rejects. */
  async wait(): Promise<void> {
    while (this.#preparing || this.#jobs.length > 0) await this.#latest?.catch(() => undefined);
  }

  /** Waits so many milliseconds at most. */
  async waitFor(milliseconds: number): Promise<Waited> {
    if (!this.#latest) return "never-started";
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<Waited>((resolve) => {
      timer = setTimeout(() => resolve("timeout"), milliseconds);
    });
    const waited = await Promise.race([this.wait().then((): Waited => "finished"), limit]);
    clearTimeout(timer);
    return waited;
  }

  /** Stops the run under way. True when it will end as cancelled; then it never ends as done. */
  cancel(): boolean {
    if (this.#disposed) return false;
    const error = new InferError("cancelled", "the request was cancelled");
    if (this.#preparing) this.#preparing.abort(error);
    else if (this.#once === "running") (this.#jobs[0] as Job).error ??= error;
    else return this.#raw.cancel();
    return true;
  }

  /** The variables and their values. Fails with `busy` while a run is under way. */
  queryState(): Record<string, Tensor> {
    this.#idle();
    return Object.fromEntries(this.#states);
  }

  /** Sets a variable for the next run. */
  setState(name: string, value: Tensor): void {
    this.#idle();
    const state = this.#model.states.find((state) => state.name === name) ?? raiseUnknown(name, this.#model);
    fitting(this.#model.ports.inputs[state.input] as PortInfo, state.input, value);
    this.#states.set(name, value);
  }

  /** Puts one variable, or all, back to their initial values. */
  resetState(name?: string): void {
    this.#idle();
    const fresh = initial(this.#model);
    if (name === undefined) this.#states = fresh;
    else this.setState(name, fresh.get(name) ?? raiseUnknown(name, this.#model));
  }

  /** What each node did in the latest run; empty unless the model was compiled with `profiling`. */
  getProfilingInfo(): readonly NodeProfile[] {
    this.#idle();
    return this.#model.profile(this.#last);
  }

  /** Stops a run under way, which is rejected as `disposed`, and takes no more. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const error = new InferError("disposed", "the request was disposed");
    this.#preparing?.abort(error);
    for (const job of this.#jobs) job.error ??= error;
    this.#raw.cancel();
    this.#raw.stop();
    if (this.#jobs.length === 0) this.#raw.free();
    else void this.#latest?.catch(() => undefined).then(() => this.#raw.free());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #calling = false;
  /** Runs whose callback has been called. */
  #told = new WeakSet<Job>();

  /** What the module calls once per run. True: it failed. */
  #delivered = (thrown: unknown): boolean => {
    // While a run settles, the next may have begun.
    const job = this.#jobs.find((job) => !this.#told.has(job));
    if (!job) return false;
    this.#told.add(job);
    if (thrown === undefined) this.#keep(job);
    const callback = this.#callback;
    if (!callback) return false;
    this.#calling = true;
    try {
      callback(thrown === undefined ? null : (job.error ?? fromPair(thrown)), this);
      return false;
    } catch (error) {
      this.#thrown = error;
      return true;
    } finally {
      this.#calling = false;
    }
  };

  /** A run is done: its outputs can be read, and the variables have their next values. */
  #keep(job: Job): void {
    this.#outputs = this.#model.results(job);
    this.#last = job;
    for (const state of this.#model.states) {
      const wire = job.outputs?.[state.output];
      if (wire) this.#states.set(state.name, unpack(wire));
    }
  }

  /** A run that was computed at once is over, as the module would have it: the callback is called before the promise settles. */
  #end(job: Job, error: InferError | undefined): Outputs {
    this.#once = "delivering";
    if (this.#callback && this.#delivered(error)) {
      error ??= new InferError("callback", "the callback threw");
      // The run that it has asked for does not begin.
      for (const next of this.#jobs) this.#told.add(next);
      this.#raw.cancel();
    }
    if (this.#once) this.#once = !error ? "done" : error.code === "cancelled" ? "cancelled" : error.code === "timeout" ? "timed-out" : "failed";
    return this.#settled(job, error);
  }

  #settled(job: Job, thrown: unknown): Outputs {
    if (thrown === undefined && this.#last !== job) this.#keep(job);
    this.#jobs.splice(this.#jobs.indexOf(job), 1);
    this.#model.reuse(job);
    const error = this.#model.runtime.host.settle(job, thrown);
    if (!error) return this.#last === job ? this.#outputs : this.#model.results(job);
    if (error.code !== "callback") throw error;
    const cause = this.#thrown;
    this.#thrown = undefined;
    throw new InferError("callback", `the callback threw: ${(cause as Error | undefined)?.message ?? cause}`, { cause });
  }

  #alive(): void {
    if (this.#disposed) throw new InferError("disposed", "the request was disposed");
    this.#model.check();
  }

  #idle(): void {
    this.#alive();
    if (this.#preparing || this.#jobs.length > 0 && !this.#calling) throw new InferError("busy", "the request is running");
  }
}

function initial(model: Model): Map<string, Tensor> {
  return new Map(model.states.map((state) => [state.name, state.initial]));
}

function find(side: string, ports: readonly PortInfo[], key: string | number): PortInfo {
  const port = typeof key === "number" ? ports[key] : ports.find((port) => port.name === key);
  if (!port) throw unknown(side, key, ports);
  return port;
}

function raiseUnknown(name: string, { states, ports }: Model): never {
  throw unknown("variable", name, states.map((state) => ({ ...(ports.inputs[state.input] as PortInfo), name: state.name })));
}
