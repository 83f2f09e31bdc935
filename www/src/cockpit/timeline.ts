/**
 * The timeline as an element: a canvas of the painter's, and around it the words that do not move.
 *
 * It hands over what is new: runs that have ended since the last time, and those that are under way.
 */

import type { TracedRun } from "inferry";

import { el } from "../dom.js";
import { easel, tell } from "../paint/easel.js";
import { packed } from "../paint/packed.js";
import { FOOT, GUTTER, LANE, LANE_GAP, MOST_LANES, gridStep } from "../paint/timeline.js";

/** Words closer to the right than this share would run into `now`. */
const ROOM = 0.1;

/** The picture with its words. */
export class Timeline {
  readonly element: HTMLElement;
  readonly #canvas = easel("timeline", { role: "img", "aria-label": "Timeline: no requests yet" });
  readonly #words = el("div", { class: "words", "aria-hidden": "true" });
  #last: TracedRun | undefined;
  #shown = "";

  constructor() {
    this.element = el("div", { class: "timeline" }, this.#canvas.element, this.#words);
  }

  /** Hands over the runs of a trace: those that are under way lie at its end. */
  feed(runs: readonly TracedRun[], now: number): void {
    let end = runs.length;
    while (end > 0 && (runs[end - 1] as TracedRun).settled === undefined) end -= 1;
    let begin = end;
    while (begin > 0 && runs[begin - 1] !== this.#last) begin -= 1;
    this.#last = runs[end - 1] ?? this.#last;
    const [ended, pending] = [packed(runs.slice(begin, end)), packed(runs.slice(end))];
    tell({ kind: "runs", ended, pending, now }, [ended.buffer, pending.buffer]);
  }

  /** Shows the `span` milliseconds before `now`. */
  show(workers: number, now: number, span: number): void {
    const lanes = Math.min(MOST_LANES, Math.max(1, workers));
    tell({ kind: "timeline", id: this.#canvas.id, now, span, lanes });
    const shown = `${lanes} ${span}`;
    if (shown !== this.#shown) this.#words.replaceChildren(...words(lanes, span));
    this.#shown = shown;
  }

  /** Says what is to be seen, for those who do not see it. */
  label(text: string): void {
    this.#canvas.element.setAttribute("aria-label", text);
  }
}

/** The names of the rows, and seconds before now below the lines of the grid. */
function words(lanes: number, span: number): HTMLElement[] {
  const rows = Array.from({ length: lanes }, (_, lane) =>
    el("span", { style: `left: 0; bottom: ${FOOT + (lanes - lane) * (LANE + LANE_GAP) - LANE}px; line-height: ${LANE}px` }, `worker ${lane}`));
  const times: HTMLElement[] = [];
  for (let before = 0; before < span * (1 - ROOM); before += gridStep(span)) {
    const label = before === 0 ? "now" : before < 1000 ? `−${before} ms` : `−${before / 1000} s`;
    const place = before === 0 ? "right: 0" : `left: calc(${GUTTER}px + (100% - ${GUTTER}px) * ${1 - before / span}); transform: translateX(-50%)`;
    times.push(el("span", { style: `${place}; bottom: 0` }, label));
  }
  return [el("span", { style: "left: 0; top: 2px" }, "requests"), ...rows, ...times];
}
