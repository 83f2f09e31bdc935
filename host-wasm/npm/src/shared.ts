/**
 * One memory, and the agents over it: streams, which take runs, and helpers, which compute tiles for them.
 *
 * The first agent puts the module's data into the memory; the others are opened when it is ready. What breaks one of them
 * leaves the memory in doubt, so they are ended together and a new pool is made. The thread that calls this never enters the
 * memory.
 */

import { InferError } from "./errors.js";
import type { Channel, FromWorker, ToWorker } from "./messages.js";
import type { Agent, Platform } from "./platform.js";

/** Pages of 64 KiB: what the module needs at its beginning, and the most that is tried for, largest first. */
const INITIAL = 64;
const MAXIMA = [65535, 32768, 16384, 8192];

/** A memory with its agents. */
export class SharedPool {
  readonly #platform: Platform;
  readonly #module: WebAssembly.Module;
  readonly #memory = reserve();
  readonly #helpers: number;
  readonly #agents: Agent[] = [];
  #opened = 0;
  #first: Promise<void> | undefined;

  constructor(platform: Platform, module: WebAssembly.Module, helpers: number) {
    this.#platform = platform;
    this.#module = module;
    this.#helpers = helpers;
  }

  /** A worker that takes runs. */
  async stream(name: string, slice: number, stop: Int32Array | undefined): Promise<Agent> {
    if (this.#first) await this.#first;
    const agent = held(this.#platform.worker(name));
    const ready = new Promise<void>((resolve, reject) => {
      agent.first = (message) => (message.kind === "ready" ? resolve() : reject(new Error(JSON.stringify(message))));
    });
    const isFirst = !this.#first;
    this.#first ??= ready;
    ready.catch(() => undefined);
    this.#open(agent, { slice, ...(stop && { stop }) });
    if (isFirst) void ready.then(() => this.#help(), () => undefined);
    return agent;
  }

  /** Ends the helpers; streams are their owner's to end. */
  end(): void {
    for (const helper of this.#agents.splice(0)) helper.terminate();
  }

  #help(): void {
    for (let number = 0; number < this.#helpers; number++) {
      const helper = this.#platform.worker(`inferry helper ${number}`);
      this.#agents.push(helper);
      this.#open(helper, { slice: 0, helper: true });
    }
  }

  #open(agent: Agent, options: { slice: number; stop?: Int32Array; helper?: boolean }): void {
    agent.channel.send({ kind: "open", module: this.#module, memory: this.#memory, agent: this.#opened, ...options });
    this.#opened += 1;
  }
}

/** An agent whose first message is looked at, and kept until somebody receives. */
function held(agent: Agent): Agent & { first: (message: FromWorker) => void } {
  const waiting: FromWorker[] = [];
  let receive: ((message: FromWorker) => void) | undefined;
  const channel: Channel<FromWorker, ToWorker> = {
    send: (message, transfer) => agent.channel.send(message, transfer),
    get receive() {
      return receive ?? (() => {});
    },
    set receive(next) {
      receive = next;
      for (const message of waiting.splice(0)) next(message);
    },
  };
  const made = {
    channel,
    first: (_: FromWorker): void => {},
    get onlost() {
      return agent.onlost;
    },
    set onlost(lost) {
      agent.onlost = lost;
    },
    terminate: () => agent.terminate(),
  };
  agent.channel.receive = (message) => {
    made.first(message);
    made.first = () => {};
    if (receive) receive(message);
    else waiting.push(message);
  };
  return made;
}

/** A memory with as much address space as there is. */
export function reserve(): WebAssembly.Memory {
  let cause: unknown;
  for (const maximum of MAXIMA) {
    try {
      return new WebAssembly.Memory({ initial: INITIAL, maximum, shared: true });
    } catch (error) {
      cause = error;
    }
  }
  throw new InferError("out-of-memory", "no shared memory could be reserved", { cause });
}
