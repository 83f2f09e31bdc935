/** Signals: how to hear them, and the errors that they become. */

import { InferError } from "./errors.js";

interface Waiting {
  readonly stops: Set<() => void>;
  readonly listener: () => void;
}

/** Who waits for each signal. */
const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls `stop` when the signal is aborted; gives what takes that back.
 *
 * A signal gets one listener, however many runs hear it: Node warns of a leak at the eleventh.
 */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (!signal) return () => {};
  let known = waiting.get(signal);
  if (!known) {
    const stops = new Set<() => void>();
    const listener = (): void => {
      waiting.delete(signal);
      for (const stop of stops) stop();
    };
    known = { stops, listener };
    waiting.set(signal, known);
    signal.addEventListener("abort", listener, { once: true });
  }
  const { stops, listener } = known;
  stops.add(stop);
  return () => {
    if (!stops.delete(stop) || stops.size > 0 || signal.aborted) return;
    waiting.delete(signal);
    signal.removeEventListener("abort", listener);
  };
}

/** The error of a signal: `timeout` when the signal is one of `AbortSignal.timeout`, else `cancelled`, with its reason. */
export function aborted(signal: AbortSignal, what = "the run"): InferError {
  const isTimeout = (signal.reason as Error | undefined)?.name === "TimeoutError";
  return new InferError(isTimeout ? "timeout" : "cancelled", `${what} was aborted`, { cause: signal.reason });
}

/** The error of a run that was given too little time. */
export function late(timeout: number): InferError {
  return new InferError("timeout", `the run was stopped after ${timeout} ms`);
}
