/**
 * Runs as numbers in a row, which cost nothing to hand over, and the five stages of a run.
 *
 * ```text
 *  asked ── queue ──▶ posted ── copy in ─▶ ░ run ░ ── copy out ─▶ answered ── callback ──▶ settled
 * ```
 *
 * Of a run that failed or was cancelled only the messages are known: all between them is the run.
 */

import type { TracedRun } from "inferry";

/** So many numbers are a run: asked, posted, answered, settled, began, worker, outcome, ended. What is not known is `NaN`. */
export const NUMBERS = 8;

/** How a run ended. */
export const [DONE, CANCELLED, FAILED, PENDING] = [0, 1, 2, 3];

/** Packs runs. */
export function packed(runs: readonly TracedRun[]): Float64Array<ArrayBuffer> {
  const numbers = new Float64Array(runs.length * NUMBERS);
  runs.forEach(({ asked, posted = NaN, began = NaN, ended = NaN, answered = NaN, settled = NaN, worker, outcome }, index) => {
    const how = outcome === "done" ? DONE : outcome === "cancelled" ? CANCELLED : outcome === "pending" ? PENDING : FAILED;
    numbers.set([asked, posted, answered, settled, began, typeof worker === "number" ? worker : NaN, how, ended], index * NUMBERS);
  });
  return numbers;
}

/** The ends of the five stages by the page's clock, into `ends`. What had not ended at `now` ends then; so does what it did not reach. */
export function stageEnds(runs: Float64Array, at: number, now: number, ends: Float64Array): void {
  const [asked, posted, answered, settled] = [runs[at]!, runs[at + 1]!, runs[at + 2]!, runs[at + 3]!];
  const [began, ended] = [runs[at + 4]!, runs[at + 7]!];
  const last = settled <= now ? settled : now;
  ends.fill(last);
  if (!(posted <= now)) return;
  ends[0] = ends[1] = Math.max(asked, posted);
  if (!(answered <= now)) return;
  ends[1] = began >= posted ? began : posted;
  ends[2] = ended <= answered ? ended : answered;
  ends[3] = answered;
}
