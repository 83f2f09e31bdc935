/**
 * Work on the items of a source, several at a time, with the results in the order of the items.
 *
 * ```text
 *  source ── pull ──▶ [ item │ item │ item ]  window ── head ──▶ next()
 *                       work    work   done
 * ```
 *
 * The window is the back-pressure: an item is pulled only while fewer than `slots` are under way or wait to be taken, so a
 * slow reader stops the source, and a slow source is waited for. Nothing is pulled before the first `next()`. This does not
 * know of models; `stream.ts` and `pipeline.ts` do the work.
 */

import { InferError } from "./errors.js";
import { aborted, onAbort } from "./stop.js";

/** What can be iterated: generators, arrays, streams. */
export type Items<T> = AsyncIterable<T> | Iterable<T> | ReadableStream<T>;

/** How items are worked on. */
export interface OrderedOptions {
  /** So many items are under way, or done and not yet taken, at the most. */
  readonly slots: number;
  /** Aborting stops everything; the next result is the error. */
  readonly signal?: AbortSignal | undefined;
  /** True: an item that fails gives its error in place of a result. False: it ends the whole. */
  readonly yieldErrors: boolean;
  /** Called once, when all is over. */
  readonly closed?: (() => void) | undefined;
}

type Outcome<T> = { readonly value: T } | { readonly error: unknown; readonly final: boolean };

/** The results, in order. `return()` stops what is under way at once, also while a `next()` waits. */
export class Ordered<In, Out> implements AsyncIterableIterator<Out> {
  readonly #source: SourceIterator<In>;
  readonly #work: (item: In, signal: AbortSignal) => Promise<Out>;
  readonly #options: OrderedOptions;
  readonly #stop = new AbortController();
  readonly #stopped: Promise<void>;
  /** Takes back that the outer signal is heard. */
  readonly #deaf: () => void;
  #window: Promise<Outcome<Out>>[] = [];
  #pulling: Promise<void> | undefined;
  /** The source has no more items. */
  #ended = false;
  #closed = false;
  /** Calls of `next` take their turns. */
  #turn: Promise<unknown> = Promise.resolve();

  /** `work` gets a signal that is aborted when its result is not wanted any more. */
  constructor(source: Items<In>, work: (item: In, signal: AbortSignal) => Promise<Out>, options: OrderedOptions) {
    this.#source = iterate(source);
    this.#work = work;
    this.#options = options;
    const { signal } = this.#stop;
    this.#stopped = new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    const outer = options.signal;
    if (outer?.aborted) this.#stop.abort(outer.reason);
    this.#deaf = onAbort(outer, () => this.#stop.abort(outer?.reason));
  }

  next(): Promise<IteratorResult<Out, undefined>> {
    const turn = this.#turn.then(() => this.#take());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async return(): Promise<IteratorResult<Out, undefined>> {
    await this.#close(new InferError("cancelled", "the stream was closed"));
    return END;
  }

  async throw(error: unknown): Promise<IteratorResult<Out, undefined>> {
    await this.#close(error);
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async #take(): Promise<IteratorResult<Out, undefined>> {
    if (this.#closed) return END;
    this.#fill();
    while (this.#window.length === 0 && !this.#ended && !this.#stop.signal.aborted) {
      await Promise.race([this.#pull(), this.#stopped]);
    }
    const head = this.#window[0];
    const outcome = head && !this.#stop.signal.aborted ? await Promise.race([head, this.#stopped]) : undefined;
    if (this.#closed) return END;
    // Only whoever gave the signal has stopped it without closing it.
    if (this.#stop.signal.aborted) return this.#fail(aborted(this.#stop.signal, "the stream"));
    if (!outcome) {
      await this.#close(undefined);
      return END;
    }
    this.#window.shift();
    this.#fill();
    if ("value" in outcome) return { done: false, value: outcome.value };
    if (outcome.final || !this.#options.yieldErrors) return this.#fail(outcome.error);
    return { done: false, value: outcome.error as Out };
  }

  /** Pulls as long as there is room. */
  #fill(): void {
    if (!this.#ended && !this.#stop.signal.aborted && this.#window.length < this.#options.slots) void this.#pull();
  }

  #pull(): Promise<void> {
    this.#pulling ??= this.#one().finally(() => {
      this.#pulling = undefined;
      this.#fill();
    });
    return this.#pulling;
  }

  /** One item from the source into the window. */
  async #one(): Promise<void> {
    let outcome: Promise<Outcome<Out>>;
    try {
      const step = await this.#source.next();
      if (step.done || this.#stop.signal.aborted) {
        this.#ended = true;
        return;
      }
      outcome = this.#begin(step.value);
    } catch (error) {
      // What came before it is still given.
      this.#ended = true;
      outcome = Promise.resolve({ error, final: true });
    }
    this.#window.push(outcome);
  }

  async #begin(item: In): Promise<Outcome<Out>> {
    try {
      return { value: await this.#work(item, this.#stop.signal) };
    } catch (error) {
      return { error, final: false };
    }
  }

  async #fail(error: unknown): Promise<never> {
    await this.#close(error);
    throw error;
  }

  /** Stops what is under way, lets the source go, and waits until the work has seen it. */
  async #close(reason: unknown): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#deaf();
    this.#stop.abort(reason);
    // Not waited for: a generator that waits for something itself cannot be interrupted.
    if (!this.#ended) void this.#source.return(reason);
    this.#ended = true;
    const working = this.#window;
    this.#window = [];
    await Promise.all(working);
    this.#options.closed?.();
  }
}

const END = { done: true, value: undefined } as const;

/** The part of an iterator that is used. `return` tells a source that no more is wanted; it never rejects. */
interface SourceIterator<T> {
  next(): Promise<IteratorResult<T>> | IteratorResult<T>;
  return(reason: unknown): Promise<unknown>;
}

/** @throws InferError `invalid-input`, when it cannot be iterated. */
export function iterate<T>(source: Items<T>): SourceIterator<T> {
  // Not every browser iterates over streams, and only a reader can end one with a reason.
  if (typeof ReadableStream !== "undefined" && source instanceof ReadableStream) {
    const reader = source.getReader();
    return {
      next: () => reader.read() as Promise<IteratorResult<T>>,
      return: (reason) => reader.cancel(reason).catch(() => undefined),
    };
  }
  const iterable = source as Partial<AsyncIterable<T> & Iterable<T>> | null | undefined;
  const iterator: AsyncIterator<T> | Iterator<T> | undefined = iterable?.[Symbol.asyncIterator]?.() ?? iterable?.[Symbol.iterator]?.();
  if (!iterator) throw new InferError("invalid-input", "a source of items is an iterable, an async iterable or a ReadableStream");
  return {
    next: () => iterator.next(),
    return: async () => {
      try {
        await iterator.return?.();
      } catch {
        // Nobody asks for it any more.
      }
    },
  };
}

/** A pair of streams, for `pipeThrough`, around what makes results of items. */
export function transformOf<In, Out>(make: (source: ReadableStream<In>) => Ordered<In, Out>): TransformStream<In, Out> {
  const { readable: source, writable } = new TransformStream<In, In>();
  const results = make(source);
  const readable = new ReadableStream<Out>(
    {
      pull: async (controller) => {
        const step = await results.next();
        if (step.done) controller.close();
        else controller.enqueue(step.value);
      },
      cancel: async () => void (await results.return()),
    },
    // The window is buffer enough.
    { highWaterMark: 0 },
  );
  return { readable, writable };
}
