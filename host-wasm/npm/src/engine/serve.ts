/**
 * The worker: answers every message of the page by the engine, one job at a time, in slices.
 *
 * ```text
 *  messages ─▶ at once: cancel, memory        ┌─ slice ─ pause ─ slice ─ … ─ answer ─┐
 *           └▶ in their order: open, load, run, unload ──────────────────────────────┘
 * ```
 *
 * A run that fits into a slice is answered in the turn that its message came in. Between two slices messages are read, so a
 * cancel is seen after one slice at most, or after one block of tiles where the page shares a word. After a trap the worker
 * says `broken` once and nothing more: its instance cannot be trusted, and the page replaces it.
 */

import type { Channel, FromWorker, NodeProfile, PortInfo, ToWorker } from "../messages.js";
import { CANCELLED, PENDING } from "./abi.js";
import { Failure } from "./failure.js";
import { closeImage } from "./image.js";
import { Instance } from "./instance.js";
import { loadModel } from "./loading.js";
import { makePause } from "./pause.js";
import { buffers, readOutputs, writeInputs } from "./tensors.js";

type Message<Kind extends ToWorker["kind"]> = Extract<ToWorker, { kind: Kind }>;

/** Messages that wait for their turn. */
type Queued = Message<"open" | "load" | "run" | "unload">;

/** The message that is being worked on. */
interface Job {
  readonly message: Queued;
  cancelled: boolean;
}

/** A model as this worker runs it. */
export interface Session {
  readonly request: number;
  readonly inputs: readonly PortInfo[];
  readonly outputs: readonly PortInfo[];
}

/** What the page at the other end wants to know. */
interface Wishes {
  /** Of every run that does not fit into a slice. */
  readonly tellsOverruns?: boolean;
}

/** Serves the page at the other end of a channel, for as long as it sends messages. */
export function serve(channel: Channel<ToWorker, FromWorker>, wishes: Wishes = {}): Server {
  const server = new Server(channel, wishes);
  channel.receive = (message) => server.receive(message);
  return server;
}

/** What answers the messages. */
export class Server {
  readonly #channel: Channel<ToWorker, FromWorker>;
  readonly #tellsOverruns: boolean;
  readonly #pause = makePause();
  readonly #queue: Queued[] = [];
  readonly #sessions = new Map<number, Session>();
  /** Models whose nodes are measured. */
  readonly #profiled = new Set<number>();
  #job: Job | undefined;
  #engine: Instance | undefined;
  #slice = 0;
  #shared = false;
  #broken = false;

  constructor(channel: Channel<ToWorker, FromWorker>, wishes: Wishes) {
    this.#channel = channel;
    this.#tellsOverruns = wishes.tellsOverruns === true;
  }

  receive(message: ToWorker): void {
    if (this.#broken) return;
    switch (message.kind) {
      case "memory":
        this.#channel.send({ kind: "memory", ask: message.ask, bytes: this.#engine?.size ?? 0 });
        return;
      case "cancel":
        this.#giveUp((queued) => queued.kind === "run" && queued.run === message.run);
        return;
      case "unload":
        this.#giveUp((queued) => (queued.kind === "run" || queued.kind === "load") && queued.model === message.model);
        break;
    }
    if (this.#job !== undefined) this.#queue.push(message);
    else this.#begin(message);
  }

  /** A job without a pause is done when this returns. */
  #begin(message: Queued): void {
    const job = (this.#job = { message, cancelled: false });
    let going: Promise<void> | void;
    try {
      going = this.#execute(job);
    } catch (error) {
      going = Promise.reject(error);
    }
    if (going !== undefined || this.#queue.length > 0) return void this.#work(job, going);
    closeImages(message);
    this.#job = undefined;
  }

  /** Stops after the slice under way: on the thread of somebody else nobody ends it from outside. */
  end(): void {
    if (this.#job !== undefined) this.#job.cancelled = true;
    this.#leave();
  }

  /** Lends the engine to who is on its thread, if there is nothing to do, nor to measure. What `use` throws has damaged it. */
  lend<R>(model: number, use: (engine: Instance, session: Session) => R): R | undefined {
    const session = this.#sessions.get(model);
    if (this.#job || !session || this.#profiled.has(model)) return undefined;
    try {
      return use(this.#running(), session);
    } catch (error) {
      this.#break(error);
      return undefined;
    }
  }

  /** Cancels what is being worked on, and answers what waits, if it is meant. */
  #giveUp(meant: (queued: Queued) => boolean): void {
    if (this.#job !== undefined && meant(this.#job.message)) this.#job.cancelled = true;
    for (const queued of this.#queue.filter(meant)) {
      this.#queue.splice(this.#queue.indexOf(queued), 1);
      this.#refuse(queued, cancelled());
      closeImages(queued);
    }
  }

  /** From a job that has begun on, all that wait. */
  async #work(job: Job, going: Promise<void> | void): Promise<void> {
    let began = performance.now();
    for (;;) {
      const { message } = job;
      try {
        await going;
      } catch (error) {
        if (error instanceof Failure) this.#refuse(message, error);
        else this.#break(error);
      }
      closeImages(message);
      if (this.#queue.length > 0 && this.#slice > 0 && performance.now() - began >= this.#slice) {
        await this.#pause();
        began = performance.now();
      }
      const next = this.#broken ? undefined : this.#queue.shift();
      if (next === undefined) break;
      this.#job = job = { message: next, cancelled: false };
      going = this.#started(job);
    }
    this.#job = undefined;
  }

  async #started(job: Job): Promise<void> {
    await this.#execute(job);
  }

  /** Not async, so that a job without a pause is done when this returns. */
  #execute(job: Job): Promise<void> | void {
    switch (job.message.kind) {
      case "open":
        return this.#open(job.message);
      case "load":
        return this.#load(job, job.message);
      case "run":
        return this.#run(job, job.message);
      case "unload":
        return this.#unload(job.message.model);
    }
  }

  #refuse(message: Queued, failure: Failure): void {
    if (message.kind === "load") {
      this.#channel.send({ kind: "not-loaded", model: message.model, error: failure.wire });
    } else if (message.kind === "run") {
      const { run } = message;
      this.#channel.send(failure.code === "cancelled" ? { kind: "cancelled", run } : { kind: "failed", run, error: failure.wire });
    }
  }

  #break(error: unknown): void {
    const what = this.#engine?.lastWords ?? (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    this.#leave();
    this.#channel.send({ kind: "broken", message: what });
  }

  /** Takes no more; the engine is not to be reached any more, and free to go. */
  #leave(): void {
    this.#broken = true;
    this.#queue.length = 0;
    this.#engine = undefined;
    this.#sessions.clear();
  }

  async #open({ module, memory, agent, helper, slice, stop }: Message<"open">): Promise<void> {
    this.#slice = slice;
    this.#shared = memory !== undefined;
    const shared = memory && { memory, agent: agent ?? 0 };
    const engine = await Instance.open(module, {
      shared,
      // The word may still stand from a run before; it means nothing to a load.
      stopped: () => stop !== undefined && this.#job?.message.kind === "run" && Atomics.load(stop, 0) !== 0,
      progress: (model, phase, done, total) => this.#channel.send({ kind: "progress", model, phase, done, total }),
    });
    this.#engine = engine;
    this.#channel.send({ kind: "ready" });
    // A helper reads no messages any more: it ends with its worker.
    if (helper === true) engine.exports.crew_serve?.();
  }

  async #load(job: Job, { model, source, options }: Message<"load">): Promise<void> {
    const engine = this.#running();
    if (options.profiling) this.#profiled.add(model);
    const check = () => {
      if (job.cancelled) throw cancelled();
    };
    const pause = () => this.#pause().then(check);
    while (!(this.#shared && this.#isLoaded(model))) {
      try {
        await loadModel(engine, model, source, options, { slice: this.#slice, pause });
      } catch (error) {
        // Another agent is at it: there is one copy for all, so this one waits for it.
        if (!(this.#shared && error instanceof Failure && error.code === "busy")) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY));
        check();
      }
      if (!this.#shared) break;
    }
    const { inputs, outputs } = this.#session(model);
    this.#channel.send({ kind: "loaded", model, inputs, outputs });
  }

  /** Over shared memory another agent may have loaded it. */
  #isLoaded(model: number): boolean {
    try {
      return this.#session(model) !== undefined;
    } catch (error) {
      if (error instanceof Failure) return false;
      throw error;
    }
  }

  #run(job: Job, message: Message<"run">): Promise<void> | void {
    const engine = this.#running();
    const { request, inputs } = this.#session(message.model);
    const received = performance.now();
    writeInputs(engine, request, inputs, message.inputs);
    engine.check(engine.exports.run_begin(request));
    const began = performance.now();
    const run: Running = { request, began, busy: began - received, time: 0, ended: began };
    if (this.#step(engine, run, began) === PENDING) return this.#goOn(engine, job, message, run);
    this.#answer(engine, message, run);
  }

  async #goOn(engine: Instance, job: Job, message: Message<"run">, run: Running): Promise<void> {
    if (this.#tellsOverruns) this.#channel.send({ kind: "overrun", run: message.run });
    do {
      await this.#pause();
      if (this.#broken) return;
      if (job.cancelled) engine.check(engine.exports.run_cancel(run.request));
    } while (this.#step(engine, run, performance.now()) === PENDING);
    this.#answer(engine, message, run);
  }

  #step(engine: Instance, run: Running, began: number): number {
    const status = engine.check(engine.exports.run_step(run.request, this.#slice));
    run.ended = performance.now();
    run.time += run.ended - began;
    if (status === CANCELLED) throw cancelled();
    return status;
  }

  #answer(engine: Instance, { model, run, wanted }: Message<"run">, { request, began, ended, busy, time }: Running): void {
    const outputs = readOutputs(engine, request, this.#session(model).outputs.length, wanted);
    const measured = this.#profiled.has(model) && { profile: profileOf(engine, request) };
    const took = busy + time + (performance.now() - ended);
    this.#channel.send({ kind: "done", run, outputs, time, took, began: ORIGIN + began, ended: ORIGIN + ended, ...measured }, buffers(outputs));
  }

  #unload(model: number): void {
    const engine = this.#running();
    const session = this.#sessions.get(model);
    if (session !== undefined) engine.check(engine.exports.request_close(session.request));
    this.#sessions.delete(model);
    this.#profiled.delete(model);
    // What is not there (any more) is what was asked for.
    engine.exports.model_drop(model);
  }

  /** The request of this worker for a model. */
  #session(model: number): Session {
    const known = this.#sessions.get(model);
    if (known !== undefined) return known;
    const engine = this.#running();
    engine.check(engine.exports.model_describe(model));
    const ports = engine.saidJson() as Pick<Session, "inputs" | "outputs">;
    const session = { request: engine.found(engine.exports.request_open(model)), ...ports };
    this.#sessions.set(model, session);
    return session;
  }

  #running(): Instance {
    if (this.#engine === undefined) throw new Failure("internal", "the worker has not been opened");
    return this.#engine;
  }
}

/** Milliseconds after which an agent looks again whether another has loaded a model. */
const RETRY = 5;

/** When this thread's clock began, by the clock that pages and workers share. */
const ORIGIN = performance.timeOrigin;

/** What each node did in the latest run of a request. */
function profileOf(engine: Instance, request: number): NodeProfile[] {
  engine.check(engine.exports.run_profile(request));
  const nodes = engine.saidJson() as (Omit<NodeProfile, "time"> & { nanos: number })[];
  return nodes.map(({ nanos, ...node }) => ({ ...node, time: nanos / 1e6 }));
}

/** A run under way. Times by this thread's clock. */
interface Running {
  readonly request: number;
  readonly began: number;
  ended: number;
  /** Milliseconds of copying the inputs. */
  readonly busy: number;
  /** Milliseconds of computing. */
  time: number;
}

/** Frames of a camera are few: they are given back at once. */
function closeImages(message: Queued): void {
  if (message.kind !== "run") return;
  for (const input of message.inputs) if (input.type === "image") closeImage(input);
}

function cancelled(): Failure {
  return new Failure("cancelled", "it was cancelled");
}
