/**
 * The workers and what each is doing, the queue, and the memory.
 */

import type { Runtime, TracedRun } from "inferry";

import { el, write } from "../dom.js";
import { bytes, many, ms } from "../numbers.js";
import { modelName } from "./stages.js";

const WORDS = { gone: "ended", opening: "starting", loading: "loading a model", running: "running", idle: "idle" } as const;

/** The list. */
export class WorkerList {
  readonly element: HTMLElement;
  readonly #rows = el("ul", { class: "workers" });
  readonly #queue = el("dd", { "data-figure": "queue" }, "0");
  readonly #running = el("dd", { "data-figure": "running" }, "0");
  readonly #memory = el("dd", {}, "–");
  #asked = 0;

  constructor() {
    this.element = el("section", { class: "card", "aria-label": "Workers" },
      el("h3", {}, "Workers and queue"), this.#rows,
      el("dl", { class: "figures" },
        el("div", {}, el("dt", {}, "waiting"), this.#queue),
        el("div", {}, el("dt", {}, "running"), this.#running),
        el("div", {}, el("dt", {}, "engine memory"), this.#memory)));
  }

  /** Shows what is under way. Before the first request there is no worker, and a place is kept for each that may come. */
  show(runtime: Runtime | undefined, runs: readonly TracedRun[], limit: number, now: number): void {
    const states = runtime?.status() ?? [];
    // Those that are under way lie at the end.
    const pending: TracedRun[] = [];
    for (let at = runs.length - 1; at >= 0 && runs[at]?.settled === undefined; at--) pending.push(runs[at] as TracedRun);
    const rows = Math.max(limit, states.length);
    while (this.#rows.children.length > rows) this.#rows.lastChild?.remove();
    while (this.#rows.children.length < rows) this.#rows.append(row(this.#rows.children.length));
    [...this.#rows.children].forEach((child, index) => {
      const state = states[index];
      const run = pending.find(({ worker, posted, answered }) => worker === index && posted !== undefined && answered === undefined);
      const what = !state ? "not started" : state === "running" && run ? `${modelName(run)}, ${ms(now - (run.posted ?? now))}` : WORDS[state];
      if ((child as HTMLElement).dataset["state"] !== (state ?? "none")) (child as HTMLElement).dataset["state"] = state ?? "none";
      write(child.lastElementChild as HTMLElement, what);
    });
    write(this.#queue, String(pending.filter(({ posted }) => posted === undefined).length));
    write(this.#running, String(pending.filter(({ posted, answered }) => posted !== undefined && answered === undefined).length));
    const label = many(states.length, "worker");
    if (this.#rows.getAttribute("aria-label") !== label) this.#rows.setAttribute("aria-label", label);
    void this.#weigh(runtime, now);
  }

  /** The engines are asked once a second: the answer is a message of each worker. */
  async #weigh(runtime: Runtime | undefined, now: number): Promise<void> {
    if (now - this.#asked < 1000) return;
    this.#asked = now;
    const held = runtime && !runtime.disposed ? await runtime.memory() : 0;
    write(this.#memory, held > 0 ? bytes(held) : "–");
  }
}

function row(index: number): HTMLElement {
  return el("li", { "data-state": "none" }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", { class: "name" }, `worker ${index}`), el("span", { class: "what" }, "not started"));
}
