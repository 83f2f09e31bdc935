/**
 * Where the time of each run went: waiting, on the way, computing.
 *
 * While it records, every finished run is also an entry of User Timing, in tracks of its own in the performance panel of
 * DevTools: one for the requests, one a worker. What was recorded can be saved in Chrome's trace format, for Perfetto.
 *
 * Times are those of the page's clock; a worker says when it began and ended, by the clock that both share.
 */

import type { Job } from "./host.js";
import type { NodeProfile } from "./messages.js";

/** One run. Times in milliseconds, by `performance.now()` of the page. */
export interface TracedRun {
  readonly run: number;
  /** The address of the model, once the run was sent to a worker. */
  readonly model: string | undefined;
  /** `page`: it was computed on the page's thread. */
  readonly worker: number | "page" | undefined;
  readonly asked: number;
  readonly posted: number | undefined;
  readonly answered: number | undefined;
  /** When the worker had copied the inputs, and when it began to copy the outputs; only of runs that were done. */
  readonly began: number | undefined;
  readonly ended: number | undefined;
  /** `undefined` while it is under way. */
  readonly settled: number | undefined;
  /** Milliseconds of computing. */
  readonly computed: number | undefined;
  /** `done`, the code of its error, or `pending`. */
  readonly outcome: string;
  /** What each node did, when the model was compiled with `profiling`. */
  readonly nodes: readonly NodeProfile[];
}

/** An event of Chrome's trace format. Times in microseconds. */
export interface TraceEvent {
  readonly name: string;
  readonly ph: "X" | "B" | "b" | "e" | "C" | "M";
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

/** So many runs are kept; older ones are forgotten. */
const MOST = 10_000;

/**
 * So many of the latest runs are entries of User Timing. DevTools writes an entry down when it is made; of those that a browser
 * still has, it looks at every one to take one back: of twenty thousand, a thousand at once held up a page for 45 ms.
 */
const MARKED = 100;

/** The only process; its first thread is the page, the others are workers. */
const PROCESS = 1;

/** A recorder of runs. */
export class Trace {
  #runs: TracedRun[] = [];
  /** The runs that are entries of User Timing, oldest first. */
  #marked: TracedRun[] = [];
  #on = false;
  readonly #pending: () => Iterable<Job>;

  /** @internal */
  constructor(pending: () => Iterable<Job>) {
    this.#pending = pending;
  }

  /** Begins to record. */
  start(): void {
    this.#on = true;
  }

  /** Stops recording; what was recorded stays. */
  stop(): void {
    this.#on = false;
  }

  /** Forgets what was recorded. */
  clear(): void {
    this.#runs = [];
    for (const run of this.#marked.splice(0)) performance.clearMeasures?.(label(run));
  }

  /**
   * What was recorded, oldest first; while it records, with the runs that are under way. Who asks often asks for the `latest` of
   * those that are over, so that not thousands are copied each time; of those that are under way it gives all.
   */
  runs(latest = Infinity): readonly TracedRun[] {
    const over = this.#runs.slice(Math.max(0, this.#runs.length - latest));
    if (this.#on) for (const job of this.#pending()) over.push(traced(job, "pending", undefined));
    return over;
  }

  /** @internal A run is over. */
  add(job: Job, outcome: string): void {
    if (!this.#on) return;
    if (this.#runs.length >= MOST) this.#runs.splice(0, MOST / 10);
    const run = traced(job, outcome, performance.now());
    this.#runs.push(run);
    this.#marked.push(run);
    if (this.#marked.length > MARKED) performance.clearMeasures?.(label(this.#marked.shift() as TracedRun));
    const { asked, posted, answered, settled = asked, worker } = run;
    mark(run, "requests", asked, settled);
    if (posted !== undefined && answered !== undefined) mark(run, trackOf(worker), posted, answered);
  }

  /** Chrome's trace format: `JSON.stringify(trace)` is the text of a file that Perfetto and `chrome://tracing` open. */
  toJSON(): { readonly traceEvents: readonly TraceEvent[]; readonly displayTimeUnit: "ms" } {
    const runs = this.runs();
    const workers = new Set(runs.flatMap(({ worker }) => (worker === undefined ? [] : [worker])));
    const traceEvents = [...names(workers), ...runs.flatMap(eventsOf), ...counts(runs)];
    return { traceEvents, displayTimeUnit: "ms" };
  }
}

function traced(job: Job, outcome: string, settled: number | undefined): TracedRun {
  const { asked, posted, answered, began, ended, computed, worker } = job.times;
  return { run: job.id, model: job.model, worker, asked, posted, answered, began, ended, settled, computed, outcome, nodes: job.profile ?? [] };
}

function label({ run }: TracedRun): string {
  return `inferry run ${run}`;
}

/** An entry of User Timing in a track of the performance panel. */
function mark(run: TracedRun, track: string, start: number, end: number): void {
  const { outcome, model = "", computed } = run;
  const color = outcome === "done" ? "primary" : outcome === "cancelled" ? "tertiary" : "error";
  const properties = [["outcome", outcome], ["model", model], ["computing", `${computed?.toFixed(2) ?? 0} ms`]];
  const devtools = { dataType: "track-entry", trackGroup: "Inferry", track, color, properties };
  try {
    performance.measure(label(run), { start, end, detail: { devtools } });
  } catch {
    // Not everywhere is there a timeline.
  }
}

/** The thread of the page's own engine: behind all that workers may have. */
const PAGE_THREAD = 65;

type Where = TracedRun["worker"];

function threadOf(worker: Where): number {
  return worker === "page" ? PAGE_THREAD : (worker ?? 0) + 1;
}

function trackOf(worker: Where): string {
  return worker === "page" ? "page" : `worker ${worker}`;
}

/** The names of the process and its threads. */
function names(workers: Iterable<Where>): TraceEvent[] {
  const name = (what: string, tid: number, name: string): TraceEvent => ({ name: what, ph: "M", pid: PROCESS, tid, ts: 0, args: { name } });
  return [
    name("process_name", 0, "Inferry"),
    name("thread_name", 0, "requests"),
    ...[...workers].sort((a, b) => threadOf(a) - threadOf(b)).map((worker) => name("thread_name", threadOf(worker), trackOf(worker))),
  ];
}

/**
 * A run is an asynchronous slice, since runs overlap, with its waiting and its delivery inside of it; what a worker does is a
 * slice of its thread. What is under way begins and does not end.
 */
function eventsOf(traced: TracedRun): TraceEvent[] {
  const { run, model, worker, asked, posted, answered, settled, outcome, nodes } = traced;
  const args = { run, outcome, ...(model !== undefined && { model }) };
  const common = { pid: PROCESS, tid: 0, cat: "inferry" };
  const events: TraceEvent[] = [];
  const slice = (name: string, from: number, to: number | undefined): void => {
    events.push({ ...common, name, ph: "b", id: run, ts: from * 1000, args });
    if (to !== undefined) events.push({ ...common, name, ph: "e", id: run, ts: to * 1000 });
  };
  slice("run", asked, settled);
  slice("queue", asked, posted ?? settled);
  if (posted === undefined) return events;
  const end = answered ?? settled;
  const thread = { ...common, tid: threadOf(worker) };
  if (end === undefined) {
    events.push({ ...thread, name: "run", ph: "B", ts: posted * 1000, args });
    return events;
  }
  // Of what failed or was cancelled only the messages are known.
  const [from, to] = [traced.began ?? posted, traced.ended ?? end];
  events.push({ ...thread, name: "run", ph: "X", ts: from * 1000, dur: (to - from) * 1000, args });
  events.push(...nodesOf(nodes, from, to).map((node) => ({ ...thread, ...node })));
  if (answered !== undefined) slice("deliver", answered, settled);
  return events;
}

/** Nodes follow each other; of the pauses between slices nothing is known. */
function nodesOf(nodes: readonly NodeProfile[], from: number, to: number): Pick<TraceEvent, "name" | "ph" | "ts" | "dur" | "args">[] {
  const ran = nodes.filter(({ status }) => status === "run");
  const total = ran.reduce((sum, { time }) => sum + time, 0);
  // A clock of the worker's and one of the page's: what is measured inside may be a little longer.
  const share = total > to - from ? (to - from) / total : 1;
  let at = from;
  return ran.map(({ name, operator, kernel, time }) => {
    const ts = at * 1000;
    at += time * share;
    return { name: name || operator, ph: "X", ts, dur: at * 1000 - ts, args: { operator, kernel, milliseconds: time } };
  });
}

/** How many runs wait, and how many are in workers, at every change. */
function counts(runs: readonly TracedRun[]): TraceEvent[] {
  const changes = runs.flatMap(({ asked, posted, answered, settled }) => {
    const left = posted ?? settled;
    const end = answered ?? settled;
    return [
      { at: asked, waiting: 1, running: 0 },
      ...(left === undefined ? [] : [{ at: left, waiting: -1, running: posted === undefined ? 0 : 1 }]),
      ...(posted === undefined || end === undefined ? [] : [{ at: end, waiting: 0, running: -1 }]),
    ];
  });
  let [waiting, running] = [0, 0];
  return changes.sort((a, b) => a.at - b.at).map((change) => {
    waiting += change.waiting;
    running += change.running;
    return { name: "runs", ph: "C", pid: PROCESS, tid: 0, ts: change.at * 1000, args: { waiting, running } };
  });
}
