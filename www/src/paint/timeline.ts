/**
 * A live picture of the latest seconds: every request as a bar of its stages, and below what each worker computed.
 *
 * ```text
 *  requests  ▁▁████▁          a bar each, in as many rows as overlap
 *              ▁▁▁▁████▁
 *  worker 0    ████  ████
 *  worker 1        ████
 *            ──────── time ──▶ now
 * ```
 *
 * The words beside and below it are elements of the page (`cockpit/timeline.ts`), which lays them out by the same numbers.
 */

import { CANCELLED, DONE, NUMBERS, PENDING, stageEnds } from "./packed.js";
import type { Runs } from "./store.js";
import type { Surface } from "./surface.js";

/** A row of a request is at most so high, in CSS pixels. */
const HIGHEST = 18;

/** A worker's row, and what lies between two. */
export const LANE = 14;
export const LANE_GAP = 5;

/** Room for names at the left, and for times at the bottom. */
export const GUTTER = 66;
export const FOOT = 18;

/** More workers than this have no row of their own. */
export const MOST_LANES = 8;

/** What is narrower is not seen, in CSS pixels. */
const SEEN = 0.4;

/** Rows that are full of runs; more than that lie over each other. */
const MOST_ROWS = 240;

const STAGES = ["stage-queue", "stage-in", "stage-run", "stage-out", "stage-call"];

/** Milliseconds between two lines of the grid. */
export function gridStep(span: number): number {
  return [50, 100, 250, 500, 1000, 2500, 5000].find((step) => span / step <= 5) ?? 10_000;
}

/** What is shown. */
export interface View {
  readonly now: number;
  /** So many milliseconds before it. */
  readonly span: number;
  readonly lanes: number;
}

/** Paints what happened in the time of the view. What came after it is not shown. */
export function paintTimeline(surface: Surface, runs: Runs, { now, span, lanes }: View): void {
  surface.paint((context, { width, height }, colour) => {
    const floor = height - FOOT - lanes * (LANE + LANE_GAP);
    const x = (time: number): number => Math.max(GUTTER, GUTTER + ((time - now + span) / span) * (width - GUTTER));
    context.fillStyle = colour("line");
    for (let before = 0; before < span; before += gridStep(span)) context.fillRect(Math.min(width - 1, x(now - before)), 0, 1, height - FOOT);
    context.globalAlpha = 0.45;
    for (let lane = 0; lane < lanes; lane++) context.fillRect(GUTTER, floor + lane * (LANE + LANE_GAP), width - GUTTER, LANE);
    context.globalAlpha = 1;

    const visible = during(runs, now - span, now);
    const { rows, count } = placed(visible, now);
    const high = Math.min(HIGHEST, (floor - 10) / Math.max(1, count));
    const gap = high > 4 ? 2 : high > 2 ? 0.5 : 0;
    const stages = STAGES.map(colour);
    const bar = (left: number, right: number, y: number, tall: number, fill: string): void => {
      context.fillStyle = fill;
      context.fillRect(left, y, Math.max(0.75, right - left), tall);
    };
    // Where nothing new would be seen, nothing is painted: a thousand short runs are as cheap as what fits side by side.
    const painted = new Float64Array(count + lanes).fill(GUTTER - SEEN);
    const isNew = (row: number, right: number): boolean => {
      if (right < painted[row]! + SEEN) return false;
      painted[row] = right;
      return true;
    };
    const ends = new Float64Array(5);
    for (let index = 0, at = 0; at < visible.length; index++, at += NUMBERS) {
      const row = rows[index]!;
      const y = 2 + row * high;
      stageEnds(visible, at, now, ends);
      const isOver = visible[at + 3]! <= now;
      const how = isOver ? visible[at + 6]! : PENDING;
      // How it ended, at its end: done is the rule and needs no mark.
      const mark = how === DONE || how === PENDING ? undefined : colour(how === CANCELLED ? "cancelled" : "failed");
      if (isNew(row, x(ends[4]!)) || mark) {
        let left = x(visible[at]!);
        ends.forEach((end, stage) => {
          const right = x(end);
          if (right < left + SEEN && stage !== 2) return;
          bar(left, right, y, high - gap, stages[stage]!);
          left = Math.max(left, right);
        });
        if (mark) bar(x(visible[at + 3]!), x(visible[at + 3]!) + 2, y, Math.max(1, high - gap), mark);
      }
      const worker = visible[at + 5]!;
      if (!(worker < lanes) || !(visible[at + 1]! <= now)) continue;
      const [left, right] = [x(ends[1]!), x(ends[2]!)];
      if (right > GUTTER && isNew(count + worker, right)) bar(left, right, floor + worker * (LANE + LANE_GAP), LANE, mark ?? stages[2]!);
    }
  });
}

/** The runs of a time, those that have ended first. */
function during(runs: Runs, from: number, to: number): Float64Array {
  const { ended, pending } = runs;
  // They lie in the order in which they ended.
  let first = ended.length;
  while (first > 0 && ended[first - NUMBERS + 3]! > from) first -= NUMBERS;
  const all = new Float64Array(ended.length - first + pending.length);
  all.set(ended.subarray(first));
  all.set(pending, ended.length - first);
  let length = 0;
  for (let at = 0; at < all.length; at += NUMBERS) {
    if (all[at]! > to) continue;
    all.copyWithin(length, at, at + NUMBERS);
    length += NUMBERS;
  }
  return all.subarray(0, length);
}

/** A row for each run, so that those in one row do not overlap. */
function placed(runs: Float64Array, now: number): { rows: Uint16Array; count: number } {
  const many = runs.length / NUMBERS;
  const free: number[] = [];
  const order = Uint32Array.from({ length: many }, (_, index) => index).sort((a, b) => runs[a * NUMBERS]! - runs[b * NUMBERS]!);
  const rows = new Uint16Array(many);
  for (const index of order) {
    const [asked, settled] = [runs[index * NUMBERS]!, runs[index * NUMBERS + 3]!];
    let row = free.findIndex((end) => end <= asked);
    if (row < 0) row = Math.min(free.length, MOST_ROWS - 1);
    free[row] = Math.max(settled <= now ? settled : now, asked + 0.01);
    rows[index] = row;
  }
  return { rows, count: Math.max(5, free.length) };
}
