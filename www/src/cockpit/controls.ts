/**
 * The sliders: workers, threads, slots, what a full queue does, priority.
 */

import type { Overflow } from "inferry";

import { el } from "../dom.js";
import type { Session, Settings } from "../session.js";

const OVERFLOWS: readonly (readonly [string, string])[] = [
  ["", "as the panel needs it"], ["block", "wait for a place"], ["reject", "refuse the new one"],
  ["drop-oldest", "drop the oldest"], ["latest", "keep only the latest"],
];

const PRIORITIES: readonly (readonly [string, string])[] = [["low", "low"], ["normal", "normal"], ["high", "high"]];

/** The fields. */
export function controls(session: Session): HTMLElement {
  const { settings } = session;
  const cores = Math.max(2, navigator.hardwareConcurrency || 1);
  const threads = slider("Threads a run", "threads", 1, Math.min(8, cores), settings.threads, String, (threads) => session.change({ threads }));
  if (!globalThis.crossOriginIsolated) {
    const input = threads.querySelector("input") as HTMLInputElement;
    input.disabled = true;
    threads.append(el("p", { class: "why" }, "Needs the isolation headers."));
  }
  return el("section", { class: "card", "aria-label": "Settings" },
    el("h3", {}, "Settings"),
    slider("Workers", "workers", 1, Math.min(8, cores * 2), settings.workers, String, (workers) => session.change({ workers })),
    threads,
    slider("Slots", "slots", 0, 8, 0, (slots) => (slots === 0 ? "auto" : String(slots)), (slots) => session.change({ slots: slots || undefined })),
    choice("Full queue", "overflow", OVERFLOWS, "", (overflow) => session.change({ overflow: (overflow || undefined) as Overflow | undefined })),
    choice("Priority", "priority", PRIORITIES, settings.priority, (priority) => session.change({ priority: priority as Settings["priority"] })));
}

/** A slider whose value takes effect when it is let go: workers and models are made anew by it. */
function slider(label: string, id: string, min: number, max: number, value: number, text: (value: number) => string, chosen: (value: number) => void): HTMLElement {
  const input = el("input", { type: "range", id: `set-${id}`, min, max, step: 1, value });
  const output = el("output", { for: `set-${id}` }, text(value));
  const show = (): void => {
    output.textContent = text(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  show();
  input.addEventListener("input", show);
  input.addEventListener("change", () => chosen(Number(input.value)));
  return el("div", { class: "field" }, el("label", { for: `set-${id}` }, label), input, output);
}

function choice(label: string, id: string, options: readonly (readonly [string, string])[], value: string, chosen: (value: string) => void): HTMLElement {
  const select = el("select", { id: `set-${id}` }, ...options.map(([value, text]) => el("option", { value }, text)));
  select.value = value;
  select.addEventListener("change", () => chosen(select.value));
  return el("div", { class: "field" }, el("label", { for: `set-${id}` }, label), select);
}
