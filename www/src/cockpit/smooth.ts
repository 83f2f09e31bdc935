/**
 * The strip of the main thread: the longest gap between two ticks in each tenth of a second.
 */

import { el, write } from "../dom.js";
import { heartbeat } from "../heartbeat.js";
import { ms } from "../numbers.js";
import { easel, tell } from "../paint/easel.js";

/** The strip and its numbers. */
export class Smoothness {
  readonly element: HTMLElement;
  readonly #canvas = easel("gaps", { class: "strip short", role: "img", "aria-label": "Gaps of the main thread in the last 20 seconds" });
  readonly #high = el("dd", { "data-figure": "p999" }, "–");
  readonly #longest = el("dd", { "data-figure": "longest" }, "–");
  readonly #usual = el("dd", {}, "–");
  #told = 0;

  constructor() {
    this.element = el("section", { class: "card", "aria-label": "Main thread" },
      el("h3", {}, "Main thread"), this.#canvas.element,
      el("dl", { class: "figures" },
        el("div", {}, el("dt", {}, "p50 gap"), this.#usual),
        el("div", {}, el("dt", {}, "p99.9 gap"), this.#high),
        el("div", {}, el("dt", {}, "longest, 20 s"), this.#longest)));
  }

  /** Shows what was measured until now. */
  draw(now: number): void {
    const ticks = heartbeat.since(this.#told);
    this.#told = ticks.at(-1)?.at ?? this.#told;
    const numbers = new Float64Array(2 * ticks.length);
    ticks.forEach(({ at, gap }, index) => numbers.set([at, gap], 2 * index));
    tell({ kind: "gaps", id: this.#canvas.id, now, ticks: numbers }, [numbers.buffer]);
  }

  /** The numbers, which nobody can read ten times a second. */
  tell(gaps: readonly number[]): void {
    [this.#usual, this.#high, this.#longest].forEach((cell, index) => write(cell, ms(gaps[index] ?? NaN)));
  }
}
