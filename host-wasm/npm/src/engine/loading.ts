/**
 * Bringing a model into the engine: its bytes, its options, and then step after step.
 */

import type { LoadOptions } from "../messages.js";
import { DONE } from "./abi.js";
import { Failure } from "./failure.js";
import type { Instance } from "./instance.js";

/** How a worker lends time to a load. */
export interface Pace {
  /** Milliseconds of a step; 0: no limit. */
  readonly slice: number;
  /** Lets messages be read; throws when the load has been given up. */
  readonly pause: () => Promise<void>;
}

/**
 * Loads a model. What is thrown leaves nothing behind; a {@link Failure} `busy` means that the number is taken, or that
 * another agent of a shared memory is loading the same model.
 */
export async function loadModel(
  engine: Instance,
  model: number,
  source: Blob | ArrayBuffer,
  options: LoadOptions,
  pace: Pace,
): Promise<void> {
  const { exports } = engine;
  engine.check(exports.load_begin(model, options.profiling ? 1 : 0, options.warmUps));
  let begun = true;
  try {
    const { trips = NaN, memory = NaN, strings = NaN } = options.limits ?? {};
    engine.check(exports.load_limits(model, trips, memory, strings));
    for (const [name, extents] of Object.entries(options.shapes ?? {})) fix(engine, model, name, extents);
    engine.check(exports.load_bytes(model, await receive(engine, source, pace)));
    for (;;) {
      // A step that fails has given the load up by itself.
      begun = false;
      if (engine.check(exports.load_step(model, pace.slice)) === DONE) return;
      begun = true;
      await pace.pause();
    }
  } catch (error) {
    if (begun && error instanceof Failure) exports.load_stop(model);
    throw error;
  }
}

function fix(engine: Instance, model: number, name: string, extents: readonly number[]): void {
  if (!extents.every((extent) => Number.isInteger(extent) && extent >= 0 && extent < 2 ** 32)) {
    throw new Failure("invalid-input", `shapes: ${JSON.stringify(name)} cannot be [${extents.join(", ")}]`);
  }
  const text = engine.put(new TextEncoder().encode(name));
  const words = engine.put(new Uint8Array(Uint32Array.from(extents).buffer));
  engine.check(engine.exports.load_shape(model, text, words, extents.length));
}

/** Copies the file into a block of the engine's memory, a piece at a time where it comes in pieces. */
async function receive(engine: Instance, source: Blob | ArrayBuffer, pace: Pace): Promise<number> {
  if (source instanceof ArrayBuffer) return engine.put(new Uint8Array(source));
  const block = engine.take(source.size);
  try {
    let at = 0;
    for await (const piece of pieces(source)) {
      engine.bytes(block + at, piece.length).set(piece);
      at += piece.length;
      await pace.pause();
    }
    return block;
  } catch (error) {
    engine.exports.memory_give(block);
    throw error;
  }
}

/** A file that cannot be read is no fault of the engine. */
async function* pieces(source: Blob): AsyncGenerator<Uint8Array> {
  const reader = source.stream().getReader();
  try {
    for (;;) {
      const next = await reader.read().catch((error: unknown) => {
        throw new Failure("network", `the model could not be read: ${String(error)}`);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
