/**
 * What all panels look like: a title, a row of buttons, a line that says how it goes, a stage with the result, and a note.
 *
 * ```text
 *  title ─ what it does
 *  [ sample ] [ file ] [ camera ]          buttons
 *  ▮▮▮▮▯▯▯▯  what is going on             status: told to screen readers, always of the same height
 *  ┌ stage ┐ ┌ results ┐
 *  note: models, terms, code
 * ```
 */

import type { FileProgress } from "../flows/index.js";
import { el } from "../dom.js";
import { Pace } from "../flows/pace.js";
import { bytes } from "../numbers.js";
import { type Session, wasStopped } from "../session.js";

/** What a panel says of itself. */
export interface About {
  readonly id: string;
  readonly title: string;
  /** One sentence. */
  readonly lead: string;
  /** What is said before anything has happened. */
  readonly ready: string;
  /** The models, with what they are. */
  readonly models: readonly string[];
  /** What a program would write to do the same. */
  readonly code: string;
}

/** What the loader of a panel gives. */
export interface Panel {
  readonly element: HTMLElement;
  /** Called when another panel is shown instead: cameras and microphones are let go. */
  hidden?(): void;
}

/** The parts of a panel that change. */
export class Frame {
  readonly element: HTMLElement;
  readonly actions = el("div", { class: "actions" });
  readonly stage = el("div", { class: "stage" });
  readonly results = el("div", { class: "results" });
  readonly #session: Session;
  readonly #bar = el("progress", { max: 1, value: 0, "aria-label": "Progress", hidden: true });
  readonly #text = el("p", { role: "status", class: "status-text" });
  #stop: AbortController | undefined;

  constructor(session: Session, about: About) {
    this.#session = session;
    this.say(about.ready);
    const models = el("ul", {}, ...about.models.map((model) => el("li", {}, model)));
    this.element = el("section", { class: "panel", id: `panel-${about.id}`, "aria-labelledby": `title-${about.id}` },
      el("header", {}, el("h2", { id: `title-${about.id}` }, about.title), el("p", { class: "lead" }, about.lead)),
      this.actions,
      el("div", { class: "status" }, this.#text, this.#bar),
      el("div", { class: "show" }, this.stage, this.results),
      // Beside the cockpit there is room for it.
      el("details", { class: "note", open: matchMedia("(min-width: 901px)").matches }, el("summary", {}, "Models and code"), models,
        el("pre", { tabindex: 0, "aria-label": "The code" }, el("code", {}, about.code))));
  }

  /** Says how it goes. */
  say(text: string, tone: "plain" | "good" | "bad" = "plain"): void {
    this.#text.textContent = text;
    this.#text.dataset["tone"] = tone;
  }

  /** Shows how far something is: a share from 0 to 1, or nothing to hide it. */
  progress(share: number | undefined): void {
    if (this.#bar.hidden !== (share === undefined)) this.#bar.hidden = share === undefined;
    // Whatever is smaller than this is not seen, and would be drawn a thousand times.
    if (share !== undefined && Math.abs(share - this.#bar.value) > 0.02) this.#bar.value = share;
  }

  /** A listener for the files of a flow that is opened. */
  opening(): (progress: FileProgress) => void {
    const files = new Map<string, FileProgress>();
    return (progress) => {
      if (progress.phase === "fetch" || progress.phase === "cache") {
        files.set(progress.file, progress);
        const known = [...files.values()];
        const done = known.reduce((sum, { done }) => sum + done, 0);
        const total = known.reduce((sum, { total, done }) => sum + (total ?? done), 0);
        this.say(`${progress.phase === "fetch" ? "Fetching" : "From the cache:"} ${bytes(done)} of ${bytes(total)}`);
        this.progress(total > 0 ? done / total : 0);
      } else {
        this.say(`${WORDS[progress.phase] ?? progress.phase} ${progress.file}`);
        if (progress.total) this.progress(progress.done / progress.total);
      }
    };
  }

  /**
   * Does something for the panel, which has one thing under way at a time: what was before is stopped. What goes wrong is
   * said here, and does not come back. `done` gives what to say at the end.
   */
  async run(doing: (signal: AbortSignal) => Promise<string>): Promise<void> {
    this.#stop?.abort(new DOMException("something else was asked for", "AbortError"));
    const stop = (this.#stop = new AbortController());
    this.element.dataset["state"] = "busy";
    this.element.setAttribute("aria-busy", "true");
    let [text, tone]: [string, "good" | "bad" | "plain"] = ["", "plain"];
    try {
      text = await this.#session.work((signal) => apart(doing, signal), stop);
      tone = "good";
    } catch (error) {
      const stopped = wasStopped(error);
      text = stopped ? "Stopped." : `It failed: ${(error as Error).message ?? error}`;
      tone = stopped ? "plain" : "bad";
    }
    // What was asked for meanwhile has the word.
    if (this.#stop !== stop) return;
    this.#stop = undefined;
    this.progress(undefined);
    this.say(text, tone);
    this.element.dataset["state"] = tone === "good" ? "done" : tone === "bad" ? "failed" : "stopped";
    this.element.removeAttribute("aria-busy");
  }

  /** Stops what this panel has under way. */
  stop(): void {
    this.#stop?.abort(new DOMException("it is not wanted any more", "AbortError"));
  }
}

/**
 * Does something in a turn of its own: neither what pressed the button nor what comes after the end is one stretch with it, and what has
 * been shown until then is painted before it goes on.
 */
async function apart(doing: (signal: AbortSignal) => Promise<string>, signal: AbortSignal): Promise<string> {
  await new Pace(signal).give();
  const text = await doing(signal);
  // A camera that was stopped has ended well.
  await new Pace().give();
  return text;
}

const WORDS: Readonly<Record<string, string>> = {
  parse: "Reading", optimise: "Optimising", pack: "Packing the weights of", "warm-up": "Warming up",
};
