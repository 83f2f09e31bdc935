/**
 * Models and functions one after the other, and over the items of a list: detect, cut out, classify.
 *
 * ```js
 * const faces = pipeline(
 *   detector,                                     // a model: inputs by name in, outputs by name out
 *   ({ boxes }) => cutOut(boxes),                 // a function: an array of inputs for the next
 *   each(classifier, { slots: 4 }),               // for each of them, in order, at most four at a time
 * );
 * const classes = await faces.run({ image }, { timeout: 500 });
 * ```
 *
 * A pipeline has no threads and no queue of its own: its models have. One signal and one timeout hold for the whole, and reach
 * every stage that is under way. A function that does not look at its signal goes on, but nobody waits for it.
 */

import { InferError } from "./errors.js";
import { type Items, Ordered, transformOf } from "./ordered.js";
import { whole } from "./runtime.js";
import { aborted, onAbort } from "./stop.js";

/** What a stage is told besides its value. */
export interface StageContext {
  /** Aborted when the result is not wanted any more. */
  readonly signal: AbortSignal;
}

/** What has a `run`: a model, a pipeline, {@link each}. */
export interface Runnable<In, Out> {
  run(value: In, options: { readonly signal: AbortSignal }): Promise<Out>;
}

/** A step of a pipeline. */
export type Stage<In, Out> = Runnable<In, Out> | ((value: In, context: StageContext) => Out | Promise<Out>);

/** How a pipeline is run. */
export interface PipelineRunOptions {
  /** Aborting stops every stage that is under way. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole. */
  readonly timeout?: number | undefined;
}

/** How a pipeline is run over a stream. `timeout` is that of each item. */
export interface PipelineStreamOptions extends PipelineRunOptions {
  /** So many items are under way, or done and not yet taken, at the most; by default 2. */
  readonly slots?: number | undefined;
  /** `throw` (the default): the first error ends the stream. `yield`: an error stands in the place of the result. */
  readonly errors?: "throw" | "yield" | undefined;
}

/** Stages that follow each other. It is a stage itself. */
export class Pipeline<In, Out> implements Runnable<In, Out> {
  readonly #stages: readonly Stage<unknown, unknown>[];

  /** @internal Use {@link pipeline}. */
  constructor(stages: readonly Stage<never, unknown>[]) {
    if (stages.length === 0) throw new InferError("invalid-input", "a pipeline has at least one stage");
    stages.forEach((stage, index) => {
      const is = typeof stage === "function" || typeof (stage as Runnable<never, unknown> | null)?.run === "function";
      if (!is) throw new InferError("invalid-input", `stage #${index} is neither a function nor something with a run`);
    });
    this.#stages = stages as readonly Stage<unknown, unknown>[];
  }

  /**
   * Sends one value through all stages.
   *
   * Every rejection is an `InferError` that names the stage; what a function threw is its `cause`.
   */
  async run(value: In, options: PipelineRunOptions = {}): Promise<Out> {
    const { signal: outer, timeout } = options;
    if (outer?.aborted) throw aborted(outer, "the pipeline");
    const stop = new AbortController();
    const late = (): void => stop.abort(new DOMException(`the pipeline was stopped after ${timeout} ms`, "TimeoutError"));
    const deaf = onAbort(outer, () => stop.abort(outer?.reason));
    const timer = timeout === undefined ? undefined : setTimeout(late, timeout);
    try {
      let current: unknown = value;
      for (const [index, stage] of this.#stages.entries()) current = await step(stage, index, current, stop.signal);
      return current as Out;
    } finally {
      clearTimeout(timer);
      deaf();
    }
  }

  /** Sends many values through, several at a time; the results come in order. Leaving the loop stops what is under way. */
  stream(source: Items<In>, options: PipelineStreamOptions & { readonly errors: "yield" }): AsyncIterableIterator<Out | InferError>;
  stream(source: Items<In>, options?: PipelineStreamOptions): AsyncIterableIterator<Out>;
  stream(source: Items<In>, options: PipelineStreamOptions = {}): Ordered<In, Out> {
    const { signal, timeout, slots, errors } = options;
    const run = (value: In, signal: AbortSignal): Promise<Out> => this.run(value, { signal, timeout });
    return new Ordered(source, run, { slots: whole("slots", slots, 1, 1024, 2), signal, yieldErrors: errors === "yield" });
  }

  /** As {@link Pipeline.stream}, for `pipeThrough`. */
  transform(options: PipelineStreamOptions & { readonly errors: "yield" }): TransformStream<In, Out | InferError>;
  transform(options?: PipelineStreamOptions): TransformStream<In, Out>;
  transform(options: PipelineStreamOptions = {}): TransformStream<In, Out> {
    return transformOf<In, Out>((source) => this.stream(source, options) as Ordered<In, Out>);
  }
}

/** One stage after the other: each gets what the one before gave. */
export function pipeline<A, B>(a: Stage<A, B>): Pipeline<A, B>;
export function pipeline<A, B, C>(a: Stage<A, B>, b: Stage<B, C>): Pipeline<A, C>;
export function pipeline<A, B, C, D>(a: Stage<A, B>, b: Stage<B, C>, c: Stage<C, D>): Pipeline<A, D>;
export function pipeline<A, B, C, D, E>(a: Stage<A, B>, b: Stage<B, C>, c: Stage<C, D>, d: Stage<D, E>): Pipeline<A, E>;
export function pipeline<A, B, C, D, E, F>(
  a: Stage<A, B>, b: Stage<B, C>, c: Stage<C, D>, d: Stage<D, E>, e: Stage<E, F>,
): Pipeline<A, F>;
export function pipeline<A, B, C, D, E, F, G>(
  a: Stage<A, B>, b: Stage<B, C>, c: Stage<C, D>, d: Stage<D, E>, e: Stage<E, F>, f: Stage<F, G>,
): Pipeline<A, G>;
export function pipeline(...stages: readonly Stage<never, unknown>[]): Pipeline<never, unknown> {
  return new Pipeline(stages);
}

/** How {@link each} goes through its items. */
export interface EachOptions {
  /** So many items are under way at the same time; by default 4. */
  readonly slots?: number | undefined;
}

/**
 * A stage that runs another for each item of a list (or of whatever can be iterated, while it is still being made): the way
 * from a detector's boxes to one run of the next model a box. The results are an array in the order of the items. The first
 * error stops the others.
 */
export function each<In, Out>(stage: Stage<In, Out>, options: EachOptions = {}): Runnable<Items<In>, Out[]> {
  const slots = whole("slots", options.slots, 1, 1024, 4);
  const one = new Pipeline<In, Out>([stage as Stage<never, unknown>]);
  return {
    run: async (items, { signal }) => {
      const results: Out[] = [];
      for await (const result of one.stream(items, { signal, slots })) results.push(result);
      return results;
    },
  };
}

async function step(stage: Stage<unknown, unknown>, index: number, value: unknown, signal: AbortSignal): Promise<unknown> {
  const stopped = (): InferError => aborted(signal, `stage #${index} of the pipeline`);
  if (signal.aborted) throw stopped();
  let deaf = (): void => {};
  try {
    // It stops by itself, and when it has, nothing of it is under way any more.
    if (typeof stage !== "function") return await stage.run(value, { signal });
    const stop = new Promise<never>((_, reject) => {
      deaf = onAbort(signal, () => reject(stopped()));
    });
    return await Promise.race([stage(value, { signal }), stop]);
  } catch (error) {
    throw signal.aborted ? stopped() : told(error, index, stage);
  } finally {
    deaf();
  }
}

/** The error of a stage, with its place. */
function told(error: unknown, index: number, stage: Stage<unknown, unknown>): InferError {
  const name = typeof stage === "function" && stage.name ? ` ${JSON.stringify(stage.name)}` : "";
  const message = `stage #${index}${name}: ${(error as Error | undefined)?.message ?? error}`;
  if (error instanceof InferError) return new InferError(error.code, message, { cause: error, node: error.node });
  return new InferError("callback", message, { cause: error });
}
