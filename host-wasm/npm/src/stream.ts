/**
 * A model over a stream of inputs: results in order, several runs at a time, no faster than they are taken.
 */

import type { InferError } from "./errors.js";
import type { Feeds, Model, Outputs, RunOptions } from "./model.js";
import { type Items, Ordered } from "./ordered.js";
import type { InferRequest } from "./request.js";
import { whole } from "./runtime.js";
import type { Feed } from "./tensor.js";

/** How a stream of inputs is run. `timeout` is that of each run; `signal` stops them all. */
export interface StreamOptions extends RunOptions {
  /**
   * So many items are under way, or done and not yet taken, at the most; by default as many as the model has slots. The runs
   * of a model with variables follow each other anyway; there the default is 2, so that the next input is read meanwhile.
   */
  readonly slots?: number | undefined;
  /** `throw` (the default): the first error ends the stream. `yield`: an error stands in the place of the result. */
  readonly errors?: "throw" | "yield" | undefined;
  /**
   * The request to run with, whose variables go on from what they are. Without it, a model with variables makes a request for
   * the stream; other models need none.
   */
  readonly request?: InferRequest | undefined;
}

/** What a stream takes: inputs by name, or in order. */
export type StreamItem = Feeds | readonly Feed[];

/** @internal The results over a source; see `Model.stream`. */
export function streamOf<Out = Outputs | InferError>(model: Model, source: Items<StreamItem>, options: StreamOptions): Ordered<StreamItem, Out> {
  const { slots, errors = "throw", signal, request, timeout, priority, outputs, transfer } = options;
  const yieldErrors = errors === "yield";
  const stateful = request !== undefined || model.states.length > 0;
  if (!stateful) {
    const many = whole("slots", slots, 1, 1024, model.slots);
    const run = (feeds: StreamItem, signal: AbortSignal) => model.run(feeds, { signal, timeout, priority, outputs, transfer });
    return new Ordered(source, run as (feeds: StreamItem, signal: AbortSignal) => Promise<Out>, { slots: many, signal, yieldErrors });
  }
  const own = request ?? model.createInferRequest();
  let last: Promise<unknown> = Promise.resolve();
  // One at a time, in the order of the source: each begins with the variables that the one before left.
  const next = (feeds: StreamItem, signal: AbortSignal): Promise<Outputs> => {
    const run = last.then(() => own.infer(feeds, { signal, timeout, outputs, transfer }));
    last = run.catch(() => undefined);
    return run;
  };
  const closed = request ? undefined : () => own.dispose();
  const work = next as (feeds: StreamItem, signal: AbortSignal) => Promise<Out>;
  return new Ordered(source, work, { slots: whole("slots", slots, 1, 1024, 2), signal, yieldErrors, closed });
}
