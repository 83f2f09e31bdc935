/**
 * An engine on the calling thread: for those who are in a worker already, or have none.
 *
 * Messages go both ways as they do with a worker, in order. But they are read in the
 * turn of the event loop that they are sent in, for as long as a slice; then the next ones wait for a turn of their own. So
 * many small runs in a row cost little more than what they compute, and the page still has its turns.
 *
 * The thread is shared in slices, so an `open` with a slice of 0 would block it for a whole run.
 */

import type { Channel, FromWorker, ToWorker } from "../messages.js";
import type { Agent } from "../platform.js";
import { pause } from "./pause.js";
import { serve } from "./serve.js";

/** Milliseconds of messages in a row, before others have a turn. */
const TURN = 2;

/** An engine, as if it were a worker. */
export function inlineAgent(): Agent {
  const turns = new Turns();
  const engine: Channel<ToWorker, FromWorker> = {
    send: (message) => turns.add(() => agent.channel.receive(message)),
    receive: () => {},
  };
  const agent: Agent = {
    isHere: true,
    channel: {
      send: (message, transfer = []) => {
        // What is moved is taken from its owner; all else is ours already.
        const sent = transfer.length > 0 ? structuredClone(message, { transfer }) : message;
        turns.add(() => engine.receive(sent));
      },
      receive: () => {},
    },
    onlost: () => {},
    terminate: () => {
      turns.end();
      end();
    },
  };
  const end = serve(engine, { tellsOverruns: true });
  return agent;
}

/** Messages on their way. */
class Turns {
  #due: (() => void)[] = [];
  #began = 0;
  #scheduled = false;

  add(message: () => void): void {
    this.#due.push(message);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#schedule();
  }

  /** Whatever is on its way is lost, as with a worker that is ended. */
  end(): void {
    this.#due = [];
    this.add = () => {};
  }

  #schedule(): void {
    if (performance.now() - this.#began < TURN) {
      queueMicrotask(this.#deliver);
      return;
    }
    void pause().then(() => {
      this.#began = performance.now();
      this.#deliver();
    });
  }

  #deliver = (): void => {
    try {
      this.#due.shift()?.();
    } finally {
      if (this.#due.length > 0) this.#schedule();
      else this.#scheduled = false;
    }
  };
}
