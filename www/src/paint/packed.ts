/**
 * Runs as numbers in a row, which cost nothing to hand over, and the five stages of a run.
 *
 * ```text
 *  asked ── queue ──▶ posted ── copy in ─▶ ░ run ░ ── copy out ─▶ answered ── callback ──▶ settled
 * ```
 *
 * What a worker does lies between two messages; where exactly is not known, so both ways are taken to be as long.
 */

import type { TracedRun } from "inferry";

/** So many numbers are a run: asked, posted, answered, settled, computed, worker, outcome. What is not known is `NaN`. */
export const NUMBERS = 7;

/** How a run ended. */
export const [DONE, CANCELLED, FAILED, PENDING] = [0, 1, 2, 3];

/** Packs runs. */
export function packed(runs: readonly TracedRun[]): Float64Array<ArrayBuffer> {
  const numbers = new Float64Array(runs.length * NUMBERS);
  runs.forEach(({ asked, posted = NaN, answered = NaN, settled = NaN, computed = NaN, worker = NaN, outcome }, index) => {
    const how = outcome === "done" ? DONE : outcome === "cancelled" ? CANCELLED : outcome === "pending" ? PENDING : FAILED;
    numbers.set([asked, posted, answered, settled, computed, worker, how], index * NUMBERS);
  });
  return numbers;
}

/** The ends of the five stages by the page's clock, into `ends`. What had not ended at `now` ends then; so does what it did not reach. */
export function stageEnds(runs: Float64Array, at: number, now: number, ends: Float64Array): void {
  const [asked, posted, answered, settled] = [runs[at]!, runs[at + 1]!, runs[at + 2]!, runs[at + 3]!];
  const last = settled <= now ? settled : now;
  ends.fill(last);
  if (!(posted <= now)) return;
  ends[0] = ends[1] = Math.max(asked, posted);
  if (!(answered <= now)) return;
  const way = Math.max(0, answered - posted - (runs[at + 4]! || 0)) / 2;
  ends[1] = posted + way;
  ends[2] = answered - way;
  ends[3] = answered;
}
