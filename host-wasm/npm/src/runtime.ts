/**
 * A runtime: workers, made when they are needed, in one of the modes that the place allows.
 */

import init, { Model as RawModel } from "../wasm/inferry_wasm.js";
import { pause } from "./engine/pause.js";
import { InferError } from "./errors.js";
import { Workers, isWorker, type Hands, type Job } from "./host.js";
import type { Doing } from "./messages.js";
import { type Flavour, type Platform, relaxed } from "./platform.js";
import type { SharedPool } from "./shared.js";
import { Trace } from "./trace.js";

/**
 * How models are executed:
 * - `isolated`: workers with a memory each; needs nothing of the page. A broken worker costs the run that it had.
 * - `shared`: workers over one memory, threads within a run, weights once; the page must be cross-origin isolated.
 * - `inline`: on the calling thread, in slices of a few milliseconds, for who is in a worker already or has none.
 */
export type Mode = "isolated" | "shared" | "inline";

/** How a runtime is made. */
export interface RuntimeOptions {
  /**
   * `auto` (the default) is `shared` when `threads` are asked for and the page is cross-origin isolated, else `isolated`; and a
   * small model whose runs turn out to be shorter than the way to a worker and back (0.3 ms) is computed on the calling thread, in
   * slices, for as long as they are. What is asked for by its name is all there is: with `isolated` or `shared`, or a
   * `worker` of one's own, no run is ever computed on the calling thread.
   */
  readonly executor?: "auto" | Mode;
  /** At most so many workers; by default as many as there are cores, and at most 4. They are made when they are needed. */
  readonly workers?: number;
  /** So many threads compute each run, over shared memory; by default one. Where there is none, a run has one thread. */
  readonly threads?: number;
  /** Makes a worker that runs `inferry/worker`, where the usual way does not work. */
  readonly worker?: () => Worker;
}

/**
 * The longest that a run computes before messages are read, in milliseconds. Between two slices on the page's own thread come
 * its timers, and one may have to let two slices pass.
 */
const SLICE = { worker: 4, inline: 2 };

let page: Promise<unknown> | undefined;

/** Workers and the models that they hold. Models of one runtime share its workers. */
export class Runtime {
  /** The mode that was chosen. */
  readonly mode: Mode;
  /** At most so many workers. */
  readonly limit: number;
  /** Threads that compute each run. */
  readonly threads: number;
  /** The build of the engine in workers. */
  readonly flavour: Flavour;
  /** What has happened to every run, for Perfetto and DevTools; off until {@link Trace.start}. */
  readonly trace = new Trace(() => this.host.jobs.values());
  /** @internal */
  readonly host: Workers;
  /** @internal */
  readonly platform: Platform;
  #disposed = false;

  private constructor(platform: Platform, options: RuntimeOptions) {
    this.platform = platform;
    this.mode = chosen(platform, options);
    this.threads = this.mode === "shared" ? whole("threads", options.threads, 1, 64, 1) : 1;
    const fitting = Math.max(1, Math.min(4, Math.floor(platform.cores / this.threads)));
    this.limit = this.mode === "inline" ? 1 : whole("workers", options.workers, 1, 64, fitting);
    const simd = relaxed() ? "relaxed" : "simd";
    this.flavour = this.mode !== "shared" ? simd : simd === "simd" ? "threads" : "relaxed-threads";
    const page = (options.executor ?? "auto") === "auto" && !options.worker;
    this.host = new Workers(this.#hands(options), this.limit, page);
  }

  /**
   * A runtime of its own.
   * @throws InferError `unsupported`, when the mode asked for is not possible here.
   */
  static async create(platform: Platform, options: RuntimeOptions = {}): Promise<Runtime> {
    page ??= platform.page().then((module) => init({ module_or_path: module }));
    try {
      await page;
    } catch (cause) {
      page = undefined;
      throw new InferError("network", `inferry.wasm could not be loaded: ${(cause as Error).message}`, { cause });
    }
    await pause();
    const runtime = new Runtime(platform, options);
    const what = { isolated: "isolated workers", shared: "workers over one memory", inline: "the calling thread, in slices" }[runtime.mode];
    const many = runtime.mode === "inline" ? "" : `up to ${runtime.limit} `;
    const threads = runtime.threads > 1 ? `, ${runtime.threads} threads a run` : "";
    const missed = (options.threads ?? 1) > runtime.threads ? "; threads within a run need a cross-origin isolated page" : "";
    console.info(`inferry: ${many}${what}${threads} (${runtime.flavour})${missed}`);
    return runtime;
  }

  /** How many workers there are at this moment. */
  get workers(): number {
    return this.#disposed ? 0 : this.host.raw.workers;
  }

  /** What each worker is doing at this moment. */
  status(): Doing[] {
    return this.#disposed ? [] : this.host.status();
  }

  /** Bytes of memory that the engines hold. */
  async memory(): Promise<number> {
    return this.#disposed ? 0 : this.host.memory();
  }

  /** Ends all workers and frees their memory. What is pending is rejected with the code `disposed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.host.close();
  }

  /** True after {@link Runtime.dispose}. */
  get disposed(): boolean {
    return this.#disposed;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /** @internal A model that has been loaded, for requests. */
  raw(model: number): RawModel {
    if (this.#disposed) throw new InferError("disposed", "the runtime was disposed");
    return this.host.raw.model(model);
  }

  #hands(options: RuntimeOptions): Hands {
    const { platform, mode } = this;
    const stops = new Map<number, Int32Array>();
    let shared: SharedPool | undefined;
    const isHere = (worker: number): boolean => mode === "inline" || !isWorker(worker);
    const stop = (worker: number): Int32Array | undefined => {
      if (!platform.shared || isHere(worker)) return undefined;
      let word = stops.get(worker);
      if (!word) stops.set(worker, (word = new Int32Array(new SharedArrayBuffer(4))));
      return word;
    };
    return {
      together: mode === "shared",
      stop,
      over: (job: Job, outcome: string) => this.trace.add(job, outcome),
      ended: () => {
        shared?.end();
        shared = undefined;
      },
      spawn: async (worker) => {
        const here = isHere(worker);
        const module = await platform.engine(this.flavour);
        const threaded = mode === "shared" ? await import("./shared.js") : undefined;
        if (threaded && !here) {
          shared ??= new threaded.SharedPool(platform, module, (this.threads - 1) * this.limit);
          return shared.stream(`inferry ${worker}`, SLICE.worker, stop(worker));
        }
        const agent = here ? await platform.inline() : platform.worker(`inferry ${worker}`, options.worker);
        const word = stop(worker);
        // The same build that workers have, which a page with threads need not fetch twice; but the memory is its own.
        const memory = threaded?.reserve();
        agent.channel.send({ kind: "open", module, slice: here ? SLICE.inline : SLICE.worker, ...(word && { stop: word }), ...(memory && { memory }) });
        return agent;
      },
    };
  }
}

function chosen(platform: Platform, options: RuntimeOptions): Mode {
  const { executor = "auto" } = options;
  if (executor === "auto") return (options.threads ?? 1) > 1 && platform.shared ? "shared" : "isolated";
  if (executor === "shared" && !platform.shared) {
    throw new InferError("unsupported", "shared memory needs a cross-origin isolated page (COOP and COEP headers)");
  }
  if (!["isolated", "shared", "inline"].includes(executor)) {
    throw new InferError("invalid-input", `no executor is named ${JSON.stringify(executor)}`);
  }
  return executor;
}

/** A whole number in its bounds, or the default. */
export function whole(name: string, given: number | undefined, least: number, most: number, otherwise: number): number {
  if (given === undefined) return otherwise;
  if (Number.isInteger(given) && given >= least && given <= most) return given;
  throw new InferError("invalid-input", `${name} is a whole number from ${least} to ${most}, not ${given}`);
}
