/**
 * The five stages of a run, out of what the package's trace knows.
 *
 * ```text
 *  asked ── queue ──▶ posted ── copy in ─▶ ░ run ░ ── copy out ─▶ answered ── callback ──▶ settled
 * ```
 *
 * What a worker does lies between two messages; where exactly is not known, so both ways are taken to be as long.
 */

import type { TracedRun } from "inferry";

/** The stages in their order: the name, and the colour by the name of its property in the style sheet. */
export const STAGES = [
  { name: "queue", colour: "stage-queue" },
  { name: "copy in", colour: "stage-in" },
  { name: "run", colour: "stage-run" },
  { name: "copy out", colour: "stage-out" },
  { name: "callback", colour: "stage-call" },
] as const;

/** When each stage ends, after the run was asked for; a stage that is not reached ends with the last one. */
export type Ends = readonly [number, number, number, number, number];

/** The ends of the stages by the page's clock. What is under way ends now. */
export function ends({ asked, posted, answered, settled, computed }: TracedRun, now: number): Ends {
  const last = settled ?? now;
  if (posted === undefined) return [last, last, last, last, last];
  if (answered === undefined) return [posted, posted, last, last, last];
  const way = Math.max(0, answered - posted - (computed ?? 0)) / 2;
  return [Math.max(asked, posted), posted + way, answered - way, answered, last];
}

/** How long each stage took, in milliseconds. */
export function durations(run: TracedRun, now: number): number[] {
  let from = run.asked;
  return ends(run, now).map((end) => {
    const took = Math.max(0, end - from);
    from = Math.max(from, end);
    return took;
  });
}

/** The name of a run's model without its folders. */
export function modelName({ model = "" }: TracedRun): string {
  return model.slice(model.lastIndexOf("/") + 1) || "model";
}
