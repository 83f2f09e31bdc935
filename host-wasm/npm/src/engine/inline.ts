/**
 * An engine on the calling thread: for those who are in a worker already, or have none.
 *
 * Messages go both ways as they do with a worker, in order. But they are read in the
 * turn of the event loop that they are sent in, for as long as a slice; then the next ones wait for a turn of their own. So
 * many small runs in a row cost little more than what they compute, and the page still has its turns. When no message is on
 * its way, who has a short run may have it computed without any (`once.ts`), within the same slice.
 *
 * The thread is shared in slices, so an `open` with a slice of 0 would block it for a whole run.
 */

import type { Channel, FromWorker, ToWorker } from "../messages.js";
import type { Agent } from "../platform.js";
import { Once } from "./once.js";
import { pause } from "./pause.js";
import { serve } from "./serve.js";

/** Milliseconds of messages in a row, before others have a turn. */
const TURN = 2;

/** An engine, as if it were a worker. */
export function inlineAgent(): Agent {
  const engine: Channel<ToWorker, FromWorker> = { send: (message) => turns.answer(message), receive: () => {} };
  const turns = new Turns((message) => engine.receive(message), (message) => agent.channel.receive(message));
  const once = new Once();
  const agent: Agent = {
    isHere: true,
    atOnce: (model, inputs, wanted) => {
      if (!turns.isFree()) return undefined;
      return server.lend(model, (engine, session) => once.run(engine, session, inputs, wanted));
    },
    channel: {
      send: (message, transfer = []) => {
        // What is moved is taken from its owner; all else is ours already.
        const sent = transfer.length > 0 ? structuredClone(message, { transfer }) : message;
        turns.add(sent);
      },
      receive: () => {},
    },
    onlost: () => {},
    terminate: () => {
      turns.end();
      server.end();
    },
  };
  const server = serve(engine, { tellsOverruns: true });
  return agent;
}

/** Messages on their way: those to the engine, each in a microtask of its own, and what it answers. */
class Turns {
  readonly #there: (message: ToWorker) => void;
  readonly #back: (message: FromWorker) => void;
  #due: ToWorker[] = [];
  #answers: FromWorker[] = [];
  #began = 0;
  /** Whether others have had a turn since. */
  #isOver = true;
  #isScheduled = false;
  #isEnded = false;

  constructor(there: (message: ToWorker) => void, back: (message: FromWorker) => void) {
    this.#there = there;
    this.#back = back;
  }

  add(message: ToWorker): void {
    if (this.#isEnded) return;
    this.#due.push(message);
    this.#schedule();
  }

  /** Whether nothing is on its way, and it is still our turn or again. */
  isFree(): boolean {
    if (this.#isScheduled || this.#isEnded) return false;
    if (performance.now() - this.#began < TURN) return true;
    if (!this.#isOver) return false;
    this.#begin();
    return true;
  }

  #begin(): void {
    this.#began = performance.now();
    this.#isOver = false;
    void pause().then(() => (this.#isOver = true));
  }

  /** What the engine says while it reads a message is told when it has read it, and it may be told the next. */
  answer(message: FromWorker): void {
    if (this.#isEnded) return;
    this.#answers.push(message);
    this.#schedule();
  }

  /** Whatever is on its way is lost, as with a worker that is ended. */
  end(): void {
    this.#isEnded = true;
    this.#due = [];
    this.#answers = [];
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // A promise's reaction: `queueMicrotask` takes browsers several times as long.
    if (performance.now() - this.#began < TURN) void NOW.then(this.#deliver);
    else void pause().then(this.#turn);
  }

  #turn = (): void => {
    this.#begin();
    this.#deliver();
  };

  #deliver = (): void => {
    try {
      if (this.#answers.length === 0) {
        const message = this.#due.shift();
        if (message) this.#there(message);
      }
      for (let answer = this.#answers.shift(); answer; answer = this.#answers.shift()) this.#back(answer);
    } finally {
      this.#isScheduled = false;
      if (this.#due.length > 0 || this.#answers.length > 0) this.#schedule();
    }
  };
}

const NOW = Promise.resolve();
