/**
 * Where the time of each run went: waiting, on the way, computing.
 *
 * What was traced can be saved as Chrome's trace format (Perfetto reads it), and is shown in the performance panel of
 * DevTools in tracks of its own.
 */

import type { Job } from "./host.js";

/** One finished run. Times in milliseconds, by `performance.now()` of the page. */
export interface TracedRun {
  readonly run: number;
  readonly worker: number | undefined;
  readonly asked: number;
  readonly posted: number | undefined;
  readonly answered: number | undefined;
  readonly settled: number;
  /** Milliseconds of computing. */
  readonly computed: number | undefined;
  readonly outcome: string;
}

/** So many runs are kept; older ones are forgotten. */
const MOST = 10_000;

/** A recorder of runs. */
export class Trace {
  #runs: TracedRun[] = [];
  #on = false;

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
  }

  /** What was recorded, oldest first. */
  runs(): readonly TracedRun[] {
    return this.#runs;
  }

  /** @internal */
  add(job: Job): void {
    if (!this.#on) return;
    const { asked, posted, answered, computed, worker } = job.times;
    const settled = performance.now();
    const outcome = job.error?.code ?? (answered === undefined ? "not run" : "done");
    if (this.#runs.length >= MOST) this.#runs.splice(0, MOST / 10);
    this.#runs.push({ run: job.id, worker, asked, posted, answered, settled, computed, outcome });
    mark(`run ${job.id}`, "requests", asked, settled, outcome);
    if (posted !== undefined && answered !== undefined) mark(`run ${job.id}`, `worker ${worker}`, posted, answered, outcome);
  }

  /** Chrome's trace format, as JSON text. */
  toJSON(): { traceEvents: readonly object[]; displayTimeUnit: string } {
    const events: object[] = [];
    const span = (name: string, tid: string, from: number, to: number, args: object): void => {
      events.push({ name, cat: "inferry", ph: "X", pid: 1, tid, ts: from * 1000, dur: Math.max(0, to - from) * 1000, args });
    };
    for (const { run, worker, asked, posted, answered, settled, computed, outcome } of this.#runs) {
      const args = { run, outcome };
      if (posted === undefined) {
        span("queue", "requests", asked, settled, args);
        continue;
      }
      span("queue", "requests", asked, posted, args);
      if (answered === undefined) continue;
      // The worker's own time lies somewhere between the two messages; in the middle, both ways took as long.
      const way = Math.max(0, answered - posted - (computed ?? 0)) / 2;
      span("run", `worker ${worker}`, posted + way, answered - way, args);
      span("deliver", "requests", answered, settled, args);
    }
    return { traceEvents: events, displayTimeUnit: "ms" };
  }
}

/** An entry of User Timing in a track of the performance panel. */
function mark(name: string, track: string, start: number, end: number, outcome: string): void {
  const color = outcome === "done" ? "primary" : outcome === "cancelled" ? "tertiary" : "error";
  const devtools = { dataType: "track-entry", trackGroup: "Inferry", track, color };
  try {
    performance.measure(name, { start, end, detail: { devtools } });
  } catch {
    // Not everywhere is there a timeline.
  }
}
