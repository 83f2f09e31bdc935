/**
 * In which way models run here, and why: one line for people.
 */

import type { Runtime } from "inferry";

/** What is said before there is a runtime, from what the page can do. */
export interface ModeText {
  readonly short: string;
  readonly why: string;
}

/** The mode in words. */
export function modeText(runtime: Runtime | undefined): ModeText {
  const isolated = globalThis.crossOriginIsolated === true;
  const headers = isolated
    ? "The server sends the headers that isolate a page. So a run is stopped in the middle of a slice, and threads within a run are possible: try the slider."
    : "The server sends no isolation headers, so workers cannot share memory: a run is stopped between two slices of some milliseconds, and has one thread. Nothing else is missing.";
  const simd = runtime ? ` Vector instructions: SIMD${runtime.flavour.includes("relaxed") ? ", relaxed" : ""}.` : "";
  if (runtime?.mode === "shared") {
    return { short: `Shared memory, ${runtime.threads} threads a run`, why: `Workers over one memory, because threads within a run were asked for. ${headers}${simd}` };
  }
  if (runtime?.mode === "inline") return { short: "On the page's thread", why: headers };
  return { short: isolated ? "Isolated workers, cross-origin isolated page" : "Isolated workers, plain page", why: `Each worker has a memory of its own: one that breaks costs one run. ${headers}${simd}` };
}
