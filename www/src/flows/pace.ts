/**
 * Work on the page's own thread that lets others have it: frames, input, answers of workers.
 *
 * Work asks at its joints; most of the time nothing happens. There is no measure of how long a piece will take, so pieces are to
 * be short: a row, not a picture.
 */

import { InferError } from "inferry";

/** The longest that work goes on by itself, in milliseconds. */
const TURN = 2;

/** Gives way when it is time to, and stops when a signal says so. One serves all the work of a call, also what is interleaved. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #began = performance.now();

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether to call {@link give}. */
  get isLate(): boolean {
    return performance.now() - this.#began > TURN;
  }

  /**
   * Lets others have the thread.
   * @throws InferError `cancelled`, when the signal is aborted.
   */
  async give(): Promise<void> {
    await turn();
    if (this.#signal?.aborted) throw new InferError("cancelled", "the call was aborted", { cause: this.#signal.reason });
    this.#began = performance.now();
  }
}

/** Resolves when the event loop has gone round. A timer would wait for milliseconds when it has been round a few times. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
