/**
 * How long requests took, stage by stage: percentiles of the latest that ended as done.
 */

import type { TracedRun } from "inferry";

import { el, write } from "../dom.js";
import { ms } from "../numbers.js";
import type { Figures } from "../paint/messages.js";
import { STAGES, modelName } from "./stages.js";

/** So many runs are listed one by one. */
const LISTED = 8;

const SHARES = ["p50", "p90", "p99"];

/** The table, which also says what the colours of the timeline mean. */
export class Latency {
  readonly element: HTMLElement;
  readonly #cells: HTMLElement[][];
  readonly #count = el("span", { class: "facts" }, "no requests yet");
  readonly #list = el("tbody");

  constructor() {
    const names = [...STAGES.map(({ name }) => name), "whole request"];
    this.#cells = names.map(() => SHARES.map(() => el("td", { class: "number" }, "–")));
    const rows = names.map((name, index) => el("tr", {},
      el("th", { scope: "row" }, el("span", { class: `swatch ${STAGES[index]?.colour ?? "none"}`, "aria-hidden": "true" }), name), ...(this.#cells[index] ?? [])));
    this.element = el("section", { class: "card", "aria-label": "Latency" },
      el("div", { class: "over" }, el("h3", {}, "Latency"), this.#count),
      el("table", { class: "latency" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "stage"), ...SHARES.map((share) => el("th", { scope: "col", class: "number" }, share)))),
        el("tbody", {}, ...rows)),
      el("details", {}, el("summary", {}, "The latest requests"),
        el("table", { class: "latest" },
          el("thead", {}, el("tr", {}, ...["model", "worker", "took", "ended"].map((head) => el("th", { scope: "col" }, head)))), this.#list)));
  }

  /** Shows the percentiles of what has ended as done. */
  show({ stages, done }: Figures): void {
    this.#cells.forEach((cells, stage) => cells.forEach((cell, index) => write(cell, ms(stages[stage]?.[index] ?? NaN))));
    write(this.#count, done === 0 ? "no requests yet" : `the latest ${done} that ended as done`);
  }

  /** Lists the latest, when somebody looks at them. */
  list(runs: readonly TracedRun[]): void {
    if (!this.#list.closest("details")?.open) return;
    const latest: TracedRun[] = [];
    for (let at = runs.length - 1; at >= 0 && latest.length < LISTED; at--) if (runs[at]?.settled !== undefined) latest.push(runs[at] as TracedRun);
    this.#list.replaceChildren(...latest.map(row));
  }
}

function row(run: TracedRun): HTMLTableRowElement {
  return el("tr", {}, el("th", { scope: "row" }, modelName(run)), el("td", {}, String(run.worker ?? "–")),
    el("td", { class: "number" }, ms((run.settled ?? run.asked) - run.asked)), el("td", {}, run.outcome));
}
