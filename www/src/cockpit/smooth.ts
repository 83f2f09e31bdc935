/**
 * The strip of the main thread: the longest gap between two ticks in each tenth of a second.
 */

import { colours, el, sharp } from "../dom.js";
import { heartbeat } from "../heartbeat.js";
import { ms, percentiles } from "../numbers.js";

/** What the strip shows, and what the numbers are of, in milliseconds. */
const SPAN = 20_000;
const BUCKET = 100;

/** The line that should not be crossed, and the top of the strip. */
const BAR = 25;
const TOP = 50;

const SHARES = [0.5, 0.999, 1];

/** The strip and its numbers. */
export class Smoothness {
  readonly element: HTMLElement;
  readonly #canvas = el("canvas", { class: "strip short", role: "img", "aria-label": "Gaps of the main thread in the last 20 seconds" });
  readonly #high = el("dd", { "data-figure": "p999" }, "–");
  readonly #longest = el("dd", { "data-figure": "longest" }, "–");
  readonly #usual = el("dd", {}, "–");

  constructor() {
    this.element = el("section", { class: "card", "aria-label": "Main thread" },
      el("h3", {}, "Main thread"), this.#canvas,
      el("dl", { class: "figures" },
        el("div", {}, el("dt", {}, "p50 gap"), this.#usual),
        el("div", {}, el("dt", {}, "p99.9 gap"), this.#high),
        el("div", {}, el("dt", {}, "longest, 20 s"), this.#longest)));
  }

  /** Draws what was measured until now. */
  draw(now: number): void {
    const made = sharp(this.#canvas);
    if (!made) return;
    const { context, width, height } = made;
    const [good, bad, line] = colours("accent", "failed", "line");
    const buckets = new Float64Array(SPAN / BUCKET);
    for (const { at, gap } of heartbeat.since(now - SPAN)) {
      const bucket = Math.min(buckets.length - 1, Math.floor((at - now + SPAN) / BUCKET));
      if (gap > (buckets[bucket] ?? 0)) buckets[bucket] = gap;
    }
    const wide = width / buckets.length;
    const y = (gap: number): number => (Math.min(gap, TOP) / TOP) * height;
    buckets.forEach((gap, index) => {
      context.fillStyle = gap > BAR ? bad : good;
      if (gap > 0) context.fillRect(index * wide, height - y(gap), Math.max(0.8, wide - 0.6), y(gap));
    });
    context.fillStyle = line;
    context.fillRect(0, height - y(BAR), width, 1);
  }

  /** The numbers, which nobody can read 30 times a second. */
  tell(now: number): void {
    const gaps = heartbeat.since(now - SPAN).map(({ gap }) => gap);
    const values = percentiles(gaps, SHARES);
    [this.#usual, this.#high, this.#longest].forEach((cell, index) => (cell.textContent = ms(values[index] ?? NaN)));
  }
}
