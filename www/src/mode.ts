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
    ? "The server sends the isolation headers, so a run can be stopped inside of a slice, and threads within a run are possible."
    : "The server sends no isolation headers, so memory cannot be shared: every worker has its own, and a run is stopped between two slices. Nothing else is missing.";
  const simd = runtime ? (runtime.flavour.includes("relaxed") ? " Vector instructions: SIMD, relaxed." : " Vector instructions: SIMD.") : "";
  if (runtime?.mode === "shared") {
    return { short: `shared memory, ${runtime.threads} threads a run`, why: `Workers over one memory, because threads within a run were asked for. ${headers}${simd}` };
  }
  if (runtime?.mode === "inline") return { short: "on the page's thread", why: headers };
  return { short: isolated ? "isolated workers, isolated page" : "isolated workers, plain page", why: `Each worker has a memory of its own: one that breaks costs one run. ${headers}${simd}` };
}
