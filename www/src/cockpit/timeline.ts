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
 */

import type { TracedRun } from "inferry";

import { colours, el, sharp } from "../dom.js";
import { STAGES, ends } from "./stages.js";

/** A row of a request is at most so high, in CSS pixels. */
const HIGHEST = 14;
const LANE = 14;
const LANE_GAP = 4;
const GUTTER = 62;

/** What is narrower is not seen, in CSS pixels. */
const SEEN = 0.4;

/** Rows that are full of runs; more than that lie over each other. */
const MOST_ROWS = 240;

/** The canvas. */
export class Timeline {
  readonly element = el("canvas", { class: "timeline", role: "img", "aria-label": "Timeline: no requests yet" });

  /** Draws what happened in the `span` milliseconds before `now`. */
  draw(runs: readonly TracedRun[], workers: number, now: number, span: number): void {
    const made = sharp(this.element);
    if (!made) return;
    const { context, width, height } = made;
    const [text, line] = colours("soft", "line");
    const stages = colours(...STAGES.map(({ colour }) => colour));
    const [cancelled, failed] = colours("cancelled", "failed");
    const lanes = Math.min(8, Math.max(1, workers));
    const floor = height - 16 - lanes * (LANE + LANE_GAP);
    const x = (time: number): number => GUTTER + ((time - now + span) / span) * (width - GUTTER);
    const visible = runs.filter(({ settled }) => settled === undefined || settled > now - span);

    grid(context, { x, now, span, height, text, line });
    context.fillStyle = text;
    context.textBaseline = "middle";
    context.fillText("requests", 0, 12);
    for (let lane = 0; lane < lanes; lane++) {
      const y = floor + lane * (LANE + LANE_GAP);
      context.fillStyle = text;
      context.fillText(`worker ${lane}`, 0, y + LANE / 2);
      context.fillStyle = line;
      context.globalAlpha = 0.45;
      context.fillRect(GUTTER, y, width - GUTTER, LANE);
      context.globalAlpha = 1;
    }

    const { rows, count } = placed(visible, now);
    const high = Math.min(HIGHEST, (floor - 8) / Math.max(1, count));
    const gap = high > 4 ? 2 : high > 2 ? 0.5 : 0;
    const bar = (left: number, right: number, y: number, tall: number, colour: string): void => {
      context.fillStyle = colour;
      context.fillRect(left, y, Math.max(0.75, right - left), tall);
    };
    // Where nothing new would be seen, nothing is drawn: a thousand short runs are as cheap as what fits side by side.
    const drawn = new Float64Array(count + lanes).fill(GUTTER - SEEN);
    const isNew = (row: number, right: number): boolean => {
      if (right < (drawn[row] ?? 0) + SEEN) return false;
      drawn[row] = right;
      return true;
    };
    visible.forEach((run, index) => {
      const row = rows[index] ?? 0;
      const y = 2 + row * high;
      const times = ends(run, now);
      // How it ended, at its end: done is the rule and needs no mark.
      const colour = run.outcome === "cancelled" ? cancelled : run.outcome === "done" || run.outcome === "pending" ? undefined : failed;
      if (isNew(row, x(times[4])) || colour) {
        let left = Math.max(GUTTER, x(run.asked));
        times.forEach((end, stage) => {
          const right = x(end);
          if (right < left + SEEN && stage !== 2) return;
          bar(left, right, y, high - gap, stages[stage] ?? text);
          left = Math.max(left, right);
        });
        if (colour && run.settled !== undefined) bar(x(run.settled), x(run.settled) + 2, y, Math.max(1, high - gap), colour);
      }
      if (run.worker === undefined || run.posted === undefined || run.worker >= lanes) return;
      const [left, right] = [Math.max(GUTTER, x(times[1])), x(times[2])];
      if (right > GUTTER && isNew(count + run.worker, right)) bar(left, right, floor + run.worker * (LANE + LANE_GAP), LANE, colour ?? stages[2] ?? text);
    });
  }
}

interface Grid {
  readonly x: (time: number) => number;
  readonly now: number;
  readonly span: number;
  readonly height: number;
  readonly text: string;
  readonly line: string;
}

/** Lines and what they are: seconds before now. */
function grid(context: CanvasRenderingContext2D, { x, now, span, height, text, line }: Grid): void {
  context.font = `11px ${getComputedStyle(context.canvas).fontFamily}`;
  context.textBaseline = "alphabetic";
  const step = [50, 100, 250, 500, 1000, 2500, 5000].find((step) => span / step <= 5) ?? 10_000;
  for (let before = 0; before < span; before += step) {
    const at = x(now - before);
    context.fillStyle = line;
    context.fillRect(Math.min(at, context.canvas.clientWidth - 1), 0, 1, height - 14);
    context.fillStyle = text;
    const label = before === 0 ? "now" : step < 1000 ? `−${before} ms` : `−${before / 1000} s`;
    context.textAlign = before === 0 ? "right" : "center";
    if (before === 0 || at > GUTTER + 20) context.fillText(label, at, height - 3);
  }
  context.textAlign = "left";
}

/** A row for each run, so that those in one row do not overlap. */
function placed(runs: readonly TracedRun[], now: number): { rows: number[]; count: number } {
  const free: number[] = [];
  const order = runs.map((_, index) => index).sort((a, b) => (runs[a] as TracedRun).asked - (runs[b] as TracedRun).asked);
  const rows = new Array<number>(runs.length).fill(0);
  for (const index of order) {
    const { asked, settled = now } = runs[index] as TracedRun;
    let row = free.findIndex((end) => end <= asked);
    if (row < 0) row = Math.min(free.length, MOST_ROWS - 1);
    free[row] = Math.max(settled, asked + 0.01);
    rows[index] = row;
  }
  return { rows, count: Math.max(6, free.length) };
}
