/**
 * The page's hands: makes workers, posts messages, and tells the module what came back.
 *
 * The module (`host-wasm/src`) decides which worker runs what; this file carries it out, and carries the bytes, which never
 * enter the module. A *job* is one run's tensors and what became of them.
 */

import { Runtime as RawRuntime } from "../wasm/inferry_wasm.js";
import { InferError, fromPair, fromWire } from "./errors.js";
import type { Doing, FromWorker, LoadOptions, NodeProfile, PortInfo, WireInput, WireTensor } from "./messages.js";
import type { Agent } from "./platform.js";
import { type Tensor, letGo } from "./tensor.js";

/** One run's way: what goes to the worker, and what comes back. */
export interface Job {
  readonly id: number;
  inputs: readonly WireInput[];
  transfer: readonly Transferable[];
  /** The inputs that an engine on this thread has read: their buffers are of use to nobody else. */
  spent?: readonly WireInput[];
  /** Whether what is to be moved was the user's. */
  readonly moves: boolean;
  readonly wanted: readonly number[] | undefined;
  outputs?: readonly (WireTensor | Tensor | null)[];
  profile?: readonly NodeProfile[];
  /** The name of its model, once it is sent. */
  model?: string | undefined;
  /** Why it did not end as done, as far as it is known here: it says more than the module does. */
  error?: InferError;
  /** Milliseconds of the page's clock. */
  readonly times: JobTimes;
}

/** When what happened to a job, by `performance.now()` of the page. */
export interface JobTimes {
  readonly asked: number;
  posted?: number;
  answered?: number;
  /** When the worker began and ended to compute. */
  began?: number;
  ended?: number;
  /** Milliseconds in which the worker computed. */
  computed?: number;
  worker?: number | "page";
}

/** A model that workers load. */
export interface Loading {
  readonly id: number;
  readonly name: string;
  readonly source: Blob;
  readonly options: LoadOptions;
  progress: (message: FromWorker & { kind: "progress" }) => void;
  loaded: (inputs: readonly PortInfo[], outputs: readonly PortInfo[]) => void;
  refused: (error: InferError) => void;
  /** What the last worker that tried it said. */
  error?: InferError;
}

/** How the workers of a runtime are made. */
export interface Hands {
  /** Makes a worker and sends it the `open` message. */
  spawn(worker: number): Promise<Agent>;
  /** A word that a worker reads while it computes, where memory can be shared. */
  stop(worker: number): Int32Array | undefined;
  /** True when all workers are one domain of failure: a broken one takes the others with it. */
  readonly together: boolean;
  /** Called when the workers of one domain of failure have ended: one that was lost, or all at the close. */
  ended?(): void;
  /** Called when a job is over, for traces. */
  over?(job: Job, outcome: string): void;
}

/** The number that the engine of the page's own thread has among the workers. */
const PAGE = 0xffff_ffff;

/** When the page's clock began, by the clock that workers share. */
const ORIGIN = performance.timeOrigin;

/** A worker that was told to stop and does not answer for so long (milliseconds) is ended and replaced. */
const GRACE = 1000;

interface Post {
  agent?: Agent;
  run?: { readonly number: number; readonly job: Job; grace?: ReturnType<typeof setTimeout> };
  loading?: number;
}

/** What the module asks to be done. */
export class Workers {
  readonly jobs = new Map<number, Job>();
  readonly models = new Map<number, Loading>();
  readonly raw: RawRuntime;
  /** The number of the engine on this thread, once there has been one. */
  own: number | undefined;
  #hands: Hands;
  /** By the numbers of the workers. */
  #posts = new Map<number, Post>();
  /** Models that the page's own engine has. */
  #here = new Set<number>();
  #next = 0;
  #asked = new Map<number, { readonly post: Post; readonly resolve: (bytes: number) => void }>();
  #closed = false;
  /** Why the latest worker was lost. */
  #latest = "";

  /** What the module is told that a run took, of what was measured: tests tell it what they like. */
  took = (milliseconds: number): number => milliseconds;

  /** With `page`, models whose runs are short are computed on this thread. */
  constructor(hands: Hands, limit: number, page: boolean) {
    this.#hands = hands;
    this.raw = new RawRuntime(this, limit, page);
  }

  /** A number that no job and no model of this runtime has. */
  number(): number {
    this.#next = (this.#next + 1) % 0xffff_ffff;
    return this.#next;
  }

  /** A new job. */
  job(inputs: readonly WireInput[], transfer: readonly Transferable[], moves: boolean, wanted: readonly number[] | undefined): Job {
    const job: Job = { id: this.number(), inputs, transfer, moves, wanted, times: { asked: performance.now() } };
    this.jobs.set(job.id, job);
    return job;
  }

  /** A job that is done when this returns, on this thread. `undefined`: nothing has happened, it has to be asked for. */
  atOnce(model: number, inputs: readonly Tensor[], wanted: readonly number[] | undefined): Job | undefined {
    const asked = performance.now();
    const { own = PAGE } = this;
    const outputs = this.#posts.get(own)?.agent?.atOnce?.(model, inputs, wanted);
    if (!outputs) return undefined;
    const answered = performance.now();
    const computed = answered - asked;
    this.raw.ran_at_once(model, this.took(computed));
    const job: Job = {
      id: this.number(), inputs: [], transfer: [], moves: false, wanted, outputs, model: this.models.get(model)?.name,
      times: { asked, posted: asked, answered, began: asked, ended: answered, computed, worker: isWorker(own) ? own : "page" },
    };
    this.jobs.set(job.id, job);
    return job;
  }

  /** Ends the book of a job: its error, the one known here before the module's. */
  settle(job: Job, thrown: unknown): InferError | undefined {
    this.jobs.delete(job.id);
    letGo(job.inputs);
    const error = thrown === undefined ? undefined : why(job, fromPair(thrown));
    this.#hands.over?.(job, error?.code ?? "done");
    return error;
  }

  /** Bytes of memory that all workers hold. */
  async memory(): Promise<number> {
    const one = (post: Post): Promise<number> =>
      new Promise((resolve) => {
        if (!post.agent) return resolve(0);
        const ask = this.number();
        this.#asked.set(ask, { post, resolve });
        post.agent.channel.send({ kind: "memory", ask });
      });
    const of = (workers: readonly number[]): Promise<number[]> =>
      Promise.all(workers.map((worker) => one(this.#posts.get(worker) as Post)));
    const numbers = [...this.#posts.keys()];
    const [workers, page] = await Promise.all([of(numbers.filter(isWorker)), of(numbers.filter((worker) => !isWorker(worker)))]);
    return sum(page) + (this.#hands.together ? Math.max(0, ...workers) : sum(workers));
  }

  /** What each worker is doing at this moment. */
  status(): Doing[] {
    const many = Math.max(-1, ...[...this.#posts.keys()].filter(isWorker)) + 1;
    return Array.from({ length: many }, (_, worker) => doing(this.#posts.get(worker)));
  }

  /** Whether runs of the model are computed on this thread, as far as it is free. */
  isHere(model: number): boolean {
    return this.#here.has(model);
  }

  /** Ends all workers, and every job with the code `disposed`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.raw.close();
    for (const post of this.#posts.values()) this.#end(post);
    this.#hands.ended?.();
  }

  /** Ends a worker as if it had been lost: for tests, and for whoever wants its memory back. */
  terminate(worker: number | "page"): void {
    this.#lose(worker === "page" ? PAGE : worker, "the worker was ended");
  }

  // What the module calls.

  spawn(worker: number): void {
    const post: Post = {};
    this.#posts.set(worker, post);
    const gone = (message: string): void => {
      if (this.#posts.get(worker) === post) this.#lose(worker, message);
    };
    this.#hands.spawn(worker).then(
      (agent) => {
        if (this.#closed || this.#posts.get(worker) !== post) return agent.terminate();
        post.agent = agent;
        if (agent.isHere) this.own = worker;
        agent.onlost = gone;
        agent.channel.receive = (message) => this.#receive(worker, post, message);
      },
      (error) => gone(String(error?.message ?? error)),
    );
  }

  end(worker: number): void {
    const post = this.#posts.get(worker);
    if (post) this.#end(post);
    this.#posts.delete(worker);
  }

  load(worker: number, model: number): void {
    const post = this.#posts.get(worker);
    const loading = this.models.get(model);
    if (!post?.agent || !loading) return queueMicrotask(() => this.raw.loaded(worker, model, false));
    post.loading = model;
    const { name, source, options } = loading;
    post.agent.channel.send({ kind: "load", model, name, source, options });
  }

  unload(worker: number, model: number): void {
    const post = this.#posts.get(worker);
    if (worker === PAGE) this.#here.delete(model);
    post?.agent?.channel.send({ kind: "unload", model });
    // A load that does not stop is stopped.
    if (post?.loading !== model) return;
    setTimeout(() => {
      if (this.#posts.get(worker) === post && post.loading === model) this.#lose(worker, "the worker did not stop loading");
    }, GRACE);
  }

  post(worker: number, run: number, model: number, id: number): void {
    const post = this.#posts.get(worker);
    const job = this.jobs.get(id);
    if (!post?.agent || !job) return queueMicrotask(() => this.raw.failed(worker, run));
    post.run = { number: run, job };
    const { inputs, wanted } = job;
    const isOurs = post.agent.isHere === true && !job.moves;
    const transfer = isOurs ? [] : [...job.transfer];
    if (isOurs) job.spent = inputs;
    const stop = this.#hands.stop(worker);
    if (stop) Atomics.store(stop, 0, 0);
    job.times.posted = performance.now();
    job.times.worker = isWorker(worker) ? worker : "page";
    job.model = this.models.get(model)?.name;
    try {
      post.agent.channel.send({ kind: "run", run, model, inputs, ...(wanted && { wanted }) }, transfer);
    } catch (cause) {
      job.error = new InferError("in-use", "the data of an input was moved away by an earlier run", { cause });
      delete post.run;
      queueMicrotask(() => this.raw.failed(worker, run));
    }
    job.inputs = job.transfer = [];
  }

  cancel(worker: number, run: number): void {
    const post = this.#posts.get(worker);
    if (!post?.agent || post.run?.number !== run) return;
    const stop = this.#hands.stop(worker);
    if (stop) Atomics.store(stop, 0, 1);
    post.agent.channel.send({ kind: "cancel", run });
    post.run.grace = setTimeout(() => {
      if (this.#posts.get(worker) === post && post.run?.number === run) this.#lose(worker, "the worker did not stop");
    }, GRACE);
  }

  refuse(model: number, lost: boolean): void {
    const loading = this.models.get(model);
    this.models.delete(model);
    const error = lost ? new InferError("worker-lost", `workers cannot be started: ${this.#latest}`) : undefined;
    loading?.refused(loading.error ?? error ?? new InferError("disposed", "the runtime was disposed"));
  }

  // What workers say.

  #receive(worker: number, post: Post, message: FromWorker): void {
    if (this.#posts.get(worker) !== post || this.#closed) return;
    switch (message.kind) {
      case "ready":
        return this.raw.ready(worker);
      case "progress":
        return this.models.get(message.model)?.progress(message);
      case "loaded":
        delete post.loading;
        if (isWorker(worker)) this.models.get(message.model)?.loaded(message.inputs, message.outputs);
        else if (this.models.has(message.model)) this.#here.add(message.model);
        return this.raw.loaded(worker, message.model, true);
      case "not-loaded": {
        delete post.loading;
        const loading = this.models.get(message.model);
        if (loading && isWorker(worker)) loading.error = fromWire(message.error);
        return this.raw.loaded(worker, message.model, false);
      }
      case "done": {
        const job = this.#answered(post, message.run);
        if (!job) return;
        job.outputs = message.outputs;
        Object.assign(job.times, between(job.times, message.began, message.ended), { computed: message.time });
        if (message.profile) job.profile = message.profile;
        return this.raw.done(worker, message.run, this.took(message.took));
      }
      case "overrun":
        return this.raw.overrun(worker, message.run);
      case "cancelled":
        if (this.#answered(post, message.run)) this.raw.cancelled(worker, message.run);
        return;
      case "failed": {
        const job = this.#answered(post, message.run);
        if (!job) return;
        job.error ??= fromWire(message.error);
        return this.raw.failed(worker, message.run);
      }
      case "memory":
        this.#asked.get(message.ask)?.resolve(message.bytes);
        this.#asked.delete(message.ask);
        return;
      case "broken":
        return this.#lose(worker, message.message);
    }
  }

  #answered(post: Post, run: number): Job | undefined {
    if (post.run?.number !== run) return undefined;
    const { job, grace } = post.run;
    clearTimeout(grace);
    delete post.run;
    job.times.answered = performance.now();
    return job;
  }

  #lose(worker: number, message: string): void {
    this.#latest = message;
    // With one memory for all, what broke is everybody's.
    const lost = this.#hands.together && isWorker(worker) ? [...this.#posts.keys()].filter(isWorker) : [worker];
    const ended = lost.filter((index) => {
      const post = this.#posts.get(index);
      if (!post) return false;
      if (post.run) post.run.job.error ??= new InferError("worker-lost", `the worker that ran this was lost: ${message}`);
      this.end(index);
      return true;
    });
    if (ended.some(isWorker)) this.#hands.ended?.();
    else this.#here.clear();
    for (const index of ended) this.raw.lost(index);
  }

  #end(post: Post): void {
    clearTimeout(post.run?.grace);
    if (post.agent) {
      post.agent.channel.receive = () => {};
      post.agent.terminate();
    }
    for (const [ask, { post: asked, resolve }] of this.#asked) {
      if (asked !== post) continue;
      this.#asked.delete(ask);
      resolve(0);
    }
  }
}

/** Whether it is the number of a worker, and not of the page's own engine. */
export function isWorker(worker: number): boolean {
  return worker !== PAGE;
}

function doing(post: Post | undefined): Doing {
  if (!post?.agent) return "gone";
  return post.run ? "running" : post.loading !== undefined ? "loading" : "idle";
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** The error that says most: what is known here, unless the module knows of something that came after it. */
function why(job: Job, error: InferError): InferError {
  return error.code === "callback" || error.code === "disposed" ? error : (job.error ?? error);
}

/** When a worker began and ended, by the page's clock. Clocks of two threads may differ by a little, what causes what does not. */
function between({ posted = 0, answered = Infinity }: JobTimes, began: number, ended: number): { began: number; ended: number } {
  const start = Math.min(Math.max(began - ORIGIN, posted), answered);
  return { began: start, ended: Math.min(Math.max(ended - ORIGIN, start), answered) };
}
