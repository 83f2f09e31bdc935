/**
 * Work on the page's own thread that lets others have it: frames, input, answers of workers.
 *
 * Work asks at its joints; most of the time nothing happens. There is no measure of how long a piece will take, so pieces are to
 * be short: a row, not a picture.
 */

import { InferError } from "inferry";

/** The longest that work goes on by itself, in milliseconds. */
const TURN = 2;

/** When the thread was given to others for the last time. All work has one clock: what follows each other in one task adds up. */
let given = 0;

/** Gives way when it is time to, and stops when a signal says so. One serves all the work of a call, also what is interleaved. */
export class Pace {
  readonly #signal: AbortSignal | undefined;

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether to call {@link give}. */
  get isLate(): boolean {
    return performance.now() - given > TURN;
  }

  /**
   * Lets others have the thread.
   * @throws InferError `cancelled`, when the signal is aborted.
   */
  async give(): Promise<void> {
    await turn();
    given = performance.now();
    if (this.#signal?.aborted) throw new InferError("cancelled", "the call was aborted", { cause: this.#signal.reason });
  }
}

/** What some browsers have: tasks that come after everything else the page wants to do. */
interface Scheduler {
  postTask(task: () => void, options: { readonly priority: "background" }): Promise<void>;
}

/**
 * Resolves when others have had their turn. Where there is no scheduler, a message does it: it comes after what is waiting now, but
 * for timers, which a browser lets wait for it.
 */
function turn(): Promise<void> {
  const { scheduler } = globalThis as { readonly scheduler?: Scheduler };
  if (scheduler) return scheduler.postTask(() => undefined, { priority: "background" });
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
