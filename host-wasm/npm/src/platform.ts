/**
 * What differs between a page and Node: where the modules are, and how a worker is made. Everything else is the same.
 */

import type { Channel, FromWorker, ToWorker } from "./messages.js";
import type { Tensor } from "./tensor.js";

/** A worker, whatever it is. */
export interface Agent {
  readonly channel: Channel<FromWorker, ToWorker>;
  /** True: it is on this thread, and buffers that nobody else has need not be moved to it. */
  readonly isHere?: true;
  /**
   * Computes a run before it returns, if it is on this thread, has nothing else to do, and that takes a moment only; the inputs fit
   * the ports and are no strings. `undefined`: nothing has happened, and the run takes a message.
   */
  readonly atOnce?: (model: number, inputs: readonly Tensor[], wanted: readonly number[] | undefined) => (Tensor | null)[] | undefined;
  /** Called once if it ends by itself, or cannot begin. */
  onlost: (message: string) => void;
  /** Ends it at once, whatever it does. */
  terminate(): void;
}

/** The builds of the engine: with relaxed-simd where that exists, with shared memory where pages may have it. */
export type Flavour = "simd" | "relaxed" | "threads" | "relaxed-threads";

/** A place that this package can run in. */
export interface Platform {
  /** How many things can be computed at the same time. */
  readonly cores: number;
  /** Whether memory can be shared between workers here. */
  readonly shared: boolean;
  /** What `WebAssembly.instantiate` or wasm-bindgen takes for the page's own module. */
  page(): Promise<WebAssembly.Module>;
  /** The engine, compiled once and posted to every worker. */
  engine(flavour: Flavour): Promise<WebAssembly.Module>;
  /** A worker that serves the messages of `messages.ts`. */
  worker(name: string, make?: () => Worker): Agent;
  /** The same on this thread. */
  inline(): Promise<Agent>;
  /** Reads a source that is no address of the web. */
  readFile?(source: string | URL): Promise<Blob> | undefined;
}

/** Which flavour this machine can run: the 36 bytes are a module with one relaxed instruction. */
export function relaxed(): boolean {
  const probe = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
  ];
  return WebAssembly.validate(new Uint8Array(probe));
}
