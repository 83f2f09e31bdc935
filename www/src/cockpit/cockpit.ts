/**
 * The cockpit: what the runtime is doing at this moment, and the levers.
 *
 * It only looks: everything it shows is read from the runtime's status and trace, as any program could. Pictures and
 * percentiles are made by a worker (`paint/`), and words change seldom, so that what it shows is not its own work.
 */

import type { TracedRun } from "inferry";

import { button, el } from "../dom.js";
import { hard } from "../hard.js";
import { heartbeat } from "../heartbeat.js";
import { modeText } from "../mode.js";
import { many, ms } from "../numbers.js";
import { figures } from "../paint/easel.js";
import { type Session, wasStopped } from "../session.js";
import { Books } from "./books.js";
import { controls } from "./controls.js";
import { Latency } from "./latency.js";
import { Smoothness } from "./smooth.js";
import { STAGES } from "./stages.js";
import { Timeline } from "./timeline.js";
import { WorkerList } from "./workers.js";

/** Milliseconds between two drawings of the timeline, of something and of nothing; of what else moves; of numbers. */
const BUSY = 100;
const IDLE = 500;
const SLOWER = 250;
const NUMBERS = 500;

/** The page's thread is looked at from so many milliseconds after the page was loaded. */
const SETTLING = 400;

/** Of the runs that are over so many are looked at: more do not end between two drawings. */
const LATEST = 2000;

/** Runs that ended so long ago are not told of any more. */
const FRESH = 8000;

const SPANS: readonly (readonly [string, string])[] = [["500", "½ s"], ["2000", "2 s"], ["8000", "8 s"], ["30000", "30 s"]];

/** The two parts of the cockpit: what is seen beside a panel, and what lies below both. */
export interface Cockpit {
  readonly beside: HTMLElement;
  readonly below: HTMLElement;
}

/** Makes the cockpit. */
export function cockpit(session: Session): Cockpit {
  const timeline = new Timeline();
  const smooth = new Smoothness();
  const workers = new WorkerList();
  const latency = new Latency();
  const books = new Books();
  const stopped = el("p", { class: "stopped", role: "status" }, "Cancel stops everything that is under way, in the middle of a run.");
  const cancel = button("Cancel", "danger", () => void stop());
  const harder = button("Make it hard", "plain", () => void makeItHard());
  const save = button("Save trace", "plain", () => saved(session));
  save.title = "For ui.perfetto.dev and chrome://tracing";
  const span = el("select", { id: "span", "aria-label": "Time shown" }, ...SPANS.map(([value, text]) => el("option", { value }, text)));
  span.value = "8000";
  const pause = el("button", { type: "button", class: "plain small", "aria-pressed": "false" }, "Pause");
  let frozen: number | undefined;
  pause.addEventListener("click", () => {
    frozen = frozen === undefined ? performance.now() : undefined;
    pause.setAttribute("aria-pressed", String(frozen !== undefined));
    pause.textContent = frozen === undefined ? "Pause" : "Go on";
    soon();
  });
  const mode = el("p", { class: "mode" });
  const key = el("ul", { class: "key", "aria-label": "Colours" },
    ...[...STAGES, { name: "cancelled", colour: "cancelled" }, { name: "failed", colour: "failed" }].map(({ name, colour }) =>
      el("li", {}, el("span", { class: `swatch ${colour}`, "aria-hidden": "true" }), name)));

  const stop = async (): Promise<void> => {
    const { works, runs, settled, idle } = await session.cancel();
    stopped.dataset["tone"] = works > 0 ? "good" : "plain";
    stopped.textContent = works === 0
      ? "Nothing is under way."
      : `Stopped ${many(runs, "request")}: told after ${ms(settled)}, workers idle after ${ms(idle)}.`;
  };

  const makeItHard = async (): Promise<void> => {
    harder.disabled = true;
    books.begin();
    try {
      books.close(await session.work((signal) => hard(session, signal, throttled((ended) => books.count(ended)))));
    } catch (error) {
      books.say(wasStopped(error) ? "Stopped by you, before all had ended." : `It failed: ${(error as Error).message}`);
    } finally {
      harder.disabled = false;
    }
  };

  const describe = (): void => {
    const { short, why } = modeText(session.current);
    mode.replaceChildren(el("strong", {}, short), why);
  };
  describe();
  session.addEventListener("change", describe);
  session.addEventListener("work", () => {
    cancel.dataset["live"] = String(session.working > 0);
    soon();
  });

  let [told, moved, timer] = [0, 0, 0];
  const draw = (): void => {
    const now = performance.now();
    const runs = session.current?.trace.runs(LATEST) ?? [];
    const width = Number(span.value);
    timeline.feed(runs, now);
    timeline.show(Math.max(session.settings.workers, session.current?.workers ?? 0), frozen ?? now, width);
    if (now - moved > SLOWER) {
      moved = now;
      smooth.draw(now);
      // With what else changes in this frame, the page is laid out once.
      requestAnimationFrame(() => workers.show(session.current, runs, session.settings.workers, performance.now()));
    }
    if (now - told > NUMBERS) {
      told = now;
      void figures(now).then((figures) => requestAnimationFrame(() => {
        smooth.tell(figures.gaps);
        latency.show(figures);
        latency.list(runs);
        timeline.label(spoken(runs, now));
      }));
    }
    const last = runs.at(-1);
    const moving = session.working > 0 || (last !== undefined && (last.settled === undefined || last.settled > now - width));
    soonest(moving && !document.hidden ? BUSY : IDLE);
  };
  const soonest = (wait: number): void => {
    clearTimeout(timer);
    timer = window.setTimeout(draw, wait);
  };
  /** What begins is shown at once. */
  const soon = (): void => soonest(0);
  span.addEventListener("change", soon);
  // What loading the page costs is not what it is to show.
  const settled = (): void => void setTimeout(() => heartbeat.start(), SETTLING);
  if (document.readyState === "complete") settled();
  else addEventListener("load", settled, { once: true });
  soon();

  const beside = el("aside", { class: "cockpit beside", "aria-label": "Cockpit" },
    el("div", { class: "levers" }, cancel, harder, save), stopped,
    books.element,
    el("section", { class: "card", "aria-label": "Timeline" },
      el("div", { class: "over" }, el("h3", {}, "Requests"), el("div", { class: "tools" }, pause, span)),
      timeline.element, key),
    smooth.element, workers.element,
    el("section", { class: "card", "aria-label": "Mode" }, el("h3", {}, "How it runs here"), mode));
  const below = el("aside", { class: "cockpit more", "aria-label": "Cockpit, more" }, latency.element, controls(session));
  return { beside, below };
}

/** The timeline in words. */
function spoken(runs: readonly TracedRun[], now: number): string {
  let [under, done, cancelled, failed] = [0, 0, 0, 0];
  for (let at = runs.length - 1; at >= 0; at--) {
    const { settled, outcome } = runs[at] as TracedRun;
    if (settled === undefined) under += 1;
    else if (settled < now - FRESH) break;
    else if (outcome === "done") done += 1;
    else if (outcome === "cancelled") cancelled += 1;
    else failed += 1;
  }
  return `Timeline of the latest requests: ${under} under way; in the last ${FRESH / 1000} seconds ${done} done, ${cancelled} cancelled, ${failed} failed`;
}

/** Hands the trace to the user as a file. */
function saved(session: Session): void {
  const trace = session.current?.trace ?? { traceEvents: [], displayTimeUnit: "ms" };
  const address = URL.createObjectURL(new Blob([JSON.stringify(trace)], { type: "application/json" }));
  el("a", { href: address, download: "inferry-trace.json" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The same function, called at most every tenth of a second and a last time. */
function throttled<T>(call: (value: T) => void): (value: T) => void {
  let [latest, timer]: [T | undefined, number] = [undefined, 0];
  return (value) => {
    latest = value;
    timer ||= window.setTimeout(() => {
      timer = 0;
      call(latest as T);
    }, 100);
  };
}
