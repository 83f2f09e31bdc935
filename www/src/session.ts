/**
 * What the panels and the cockpit share: one runtime, the settings, and everything that is under way.
 *
 * ```text
 *  panels ── flow(), work() ──▶ Session ◀── runtime, settings, cancel() ── cockpit
 * ```
 *
 * A change of the workers makes a new runtime, one of the queues new models; the panels open theirs again when they are next
 * used, out of the browser's cache. This knows no element, and nothing of what the models do.
 */

import { type InferError, type Overflow, type RunOptions, type Runtime, createRuntime } from "inferry";

import type { Bench, FileProgress, Flow } from "./flows/index.js";

/** What the cockpit's sliders say. */
export interface Settings {
  /** At most so many workers. */
  readonly workers: number;
  /** So many threads compute a run; more than one needs an isolated page. */
  readonly threads: number;
  /** Runs of one model at the same time; `undefined`: as the panel needs it. */
  readonly slots: number | undefined;
  /** What becomes of more than fits into a queue; `undefined`: as the panel needs it. */
  readonly overflow: Overflow | undefined;
  readonly priority: NonNullable<RunOptions["priority"]>;
}

/** How long it took to stop, in milliseconds from the press of the button. */
export interface Stopped {
  /** So many pieces of work were under way. */
  readonly works: number;
  /** So many runs of models were under way or waited for a worker. */
  readonly runs: number;
  /** Until every promise was settled. */
  readonly settled: number;
  /** Until no worker computed any more. */
  readonly idle: number;
}

/** Where models lie, beside the page. */
export const BASE = new URL("models/", document.baseURI);

interface Work {
  readonly stop: AbortController;
  readonly done: Promise<unknown>;
}

/** Made once, when the page opens. It tells of changes by the event `change`. */
export class Session extends EventTarget {
  #settings: Settings;
  #runtime: Promise<Runtime> | undefined;
  #current: Runtime | undefined;
  #works = new Set<Work>();
  /** Models opened before the latest change are not given out any more. */
  #epoch = 0;
  /** Which runtime it is. */
  #generation = 0;

  constructor() {
    super();
    const cores = navigator.hardwareConcurrency || 1;
    this.#settings = { workers: Math.min(4, Math.max(2, cores)), threads: 1, slots: undefined, overflow: undefined, priority: "normal" };
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Takes over what is new; what was under way is stopped when its runtime or its models go. */
  change(part: Partial<Settings>): void {
    const old = this.#settings;
    this.#settings = { ...old, ...part };
    const { workers, threads, slots, overflow } = this.#settings;
    const other = workers !== old.workers || threads !== old.threads;
    if (other || slots !== old.slots || overflow !== old.overflow) this.#epoch += 1;
    if (other) {
      this.#generation += 1;
      const ended = this.#runtime;
      this.#runtime = this.#current = undefined;
      void ended?.then((runtime) => runtime.dispose(), () => undefined);
    }
    this.dispatchEvent(new Event("change"));
  }

  /** The runtime, made when it is first asked for. It records from its beginning. */
  runtime(): Promise<Runtime> {
    this.#runtime ??= this.#made();
    return this.#runtime;
  }

  /** The runtime, when it is there. */
  get current(): Runtime | undefined {
    return this.#current;
  }

  /** A number that changes whenever models have to be opened anew. */
  get epoch(): number {
    return this.#epoch;
  }

  /** What a flow is opened with. */
  async bench(signal: AbortSignal, onprogress: (progress: FileProgress) => void): Promise<Bench> {
    const { slots, overflow } = this.#settings;
    const queue = { ...(slots !== undefined && { slots }), ...(overflow !== undefined && { overflow }) };
    return { runtime: await this.runtime(), base: BASE, signal, onprogress, queue };
  }

  /** Does something that the Cancel button stops. The signal is aborted by it, or by `stop`. */
  async work<T>(doing: (signal: AbortSignal) => Promise<T>, stop = new AbortController()): Promise<T> {
    const done = doing(stop.signal);
    const work = { stop, done };
    this.#works.add(work);
    this.dispatchEvent(new Event("work"));
    try {
      return await done;
    } finally {
      this.#works.delete(work);
      this.dispatchEvent(new Event("work"));
    }
  }

  /** How many pieces of work are under way. */
  get working(): number {
    return this.#works.size;
  }

  /** Stops everything that is under way, and measures how long that takes. */
  async cancel(): Promise<Stopped> {
    const works = [...this.#works];
    const runs = pending(this.#current);
    const began = performance.now();
    for (const { stop } of works) stop.abort(new DOMException("the Cancel button was pressed", "AbortError"));
    await Promise.allSettled(works.map(({ done }) => done));
    const settled = performance.now() - began;
    // The promises may be settled before the workers have heard of it: what a person wants back is the processor.
    while (this.#current?.status().includes("running")) await turn();
    return { works: works.length, runs, settled, idle: performance.now() - began };
  }

  async #made(): Promise<Runtime> {
    const { workers, threads } = this.#settings;
    const generation = this.#generation;
    const runtime = await createRuntime({ workers, threads });
    runtime.trace.start();
    // The settings may have changed meanwhile: then it is disposed of by who changed them.
    if (generation === this.#generation) this.#current = runtime;
    this.dispatchEvent(new Event("change"));
    return runtime;
  }
}

/** A flow that is opened when it is first used, and again after a change of the settings. */
export class Opener<F extends Flow> {
  readonly #session: Session;
  readonly #open: (bench: Bench) => Promise<F>;
  #held: { readonly epoch: number; readonly flow: F } | undefined;

  constructor(session: Session, open: (bench: Bench) => Promise<F>) {
    this.#session = session;
    this.#open = open;
    session.addEventListener("change", () => this.#drop());
  }

  /** The flow. An open that is aborted leaves nothing behind. */
  async get(signal: AbortSignal, onprogress: (progress: FileProgress) => void): Promise<F> {
    if (this.#held) return this.#held.flow;
    const epoch = this.#session.epoch;
    const flow = await this.#open(await this.#session.bench(signal, onprogress));
    this.#held = { epoch, flow };
    this.#drop();
    return flow;
  }

  /** Whether the next use begins at once. */
  get ready(): boolean {
    return this.#held !== undefined;
  }

  #drop(): void {
    if (!this.#held || this.#held.epoch === this.#session.epoch) return;
    this.#held.flow.dispose();
    this.#held = undefined;
  }
}

/** Runs of a runtime that are not over. */
export function pending(runtime: Runtime | undefined): number {
  return runtime?.trace.runs(0).length ?? 0;
}

/** Whether something went wrong because it was stopped, or because its models went away. */
export function wasStopped(error: unknown): boolean {
  const code = (error as Partial<InferError> | undefined)?.code;
  return code === "cancelled" || code === "disposed" || (error as Partial<Error> | undefined)?.name === "AbortError";
}

/** One turn of the event loop, without the four milliseconds that nested timers wait. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}
