/**
 * How long requests took, stage by stage: percentiles of the latest that ended as done.
 */

import type { TracedRun } from "inferry";

import { el } from "../dom.js";
import { ms, percentiles } from "../numbers.js";
import { STAGES, durations, modelName } from "./stages.js";

/** So many runs are looked at. */
const LATEST = 300;

/** So many are listed one by one. */
const LISTED = 8;

const SHARES = [0.5, 0.9, 0.99];

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
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "stage"), ...SHARES.map((share) => el("th", { scope: "col", class: "number" }, `p${share * 100}`)))),
        el("tbody", {}, ...rows)),
      el("details", {}, el("summary", {}, "The latest requests"),
        el("table", { class: "latest" },
          el("thead", {}, el("tr", {}, ...["model", "worker", "took", "ended"].map((head) => el("th", { scope: "col" }, head)))), this.#list)));
  }

  /** Shows the percentiles of what has ended. */
  show(runs: readonly TracedRun[]): void {
    const done = runs.filter(({ outcome }) => outcome === "done").slice(-LATEST);
    const each = done.map((run) => [...durations(run, 0), (run.settled ?? 0) - run.asked]);
    this.#cells.forEach((cells, stage) => {
      const values = each.map((durations) => durations[stage] ?? 0);
      percentiles(values, SHARES).forEach((value, index) => {
        const [cell, text] = [cells[index] as HTMLElement, ms(value)];
        if (cell.textContent !== text) cell.textContent = text;
      });
    });
    this.#count.textContent = done.length === 0 ? "no requests yet" : `the latest ${done.length} that ended as done`;
    const details = this.#list.closest("details");
    if (details?.open) this.#list.replaceChildren(...runs.filter(({ settled }) => settled !== undefined).slice(-LISTED).reverse().map(row));
  }
}

function row(run: TracedRun): HTMLTableRowElement {
  return el("tr", {}, el("th", { scope: "row" }, modelName(run)), el("td", {}, String(run.worker ?? "–")),
    el("td", { class: "number" }, ms((run.settled ?? run.asked) - run.asked)), el("td", {}, run.outcome));
}
