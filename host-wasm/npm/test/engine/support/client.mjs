/**
 * The page's side of a channel, as small as tests need it: each request is a promise of its answer.
 */

import { Worker } from "node:worker_threads";

import { script } from "./build.mjs";

const entry = await script("node-worker");
const { inlineAgent } = await import(await script("inline"));

/** A worker thread. */
export function worker() {
  const thread = new Worker(entry);
  return new Client({ post: (...message) => thread.postMessage(...message), close: () => thread.terminate() }, (on) => thread.on("message", on));
}

/** An engine on this thread. */
export function inline() {
  const agent = inlineAgent();
  return new Client({ post: (...message) => agent.channel.send(...message), close: () => agent.terminate() }, (on) => {
    agent.channel.receive = on;
  });
}

/** Rejected with the `WireError` of an answer. */
export class Answered extends Error {
  constructor({ code, message, node }) {
    super(message);
    Object.assign(this, { code, node });
  }
}

export class Client {
  /** Every message that came. */
  heard = [];
  /** Fulfilled with the message of `broken`. */
  broken = new Promise((resolve) => (this.breaks = resolve));
  waiting = [];
  run = 0;

  constructor(end, listen) {
    this.end = end;
    listen((message) => this.hear(message));
  }

  hear(message) {
    this.heard.push(message);
    // No answer: one follows.
    if (message.kind === "overrun") return;
    if (message.kind === "broken") {
      this.breaks(message.message);
      const lost = new Answered({ code: "worker-lost", message: message.message });
      this.waiting.splice(0).forEach(({ reject }) => reject(lost));
    }
    const at = this.waiting.findIndex(({ meant }) => meant(message));
    if (at < 0) return;
    const [{ resolve, reject }] = this.waiting.splice(at, 1);
    if (message.kind === "failed" || message.kind === "not-loaded") reject(new Answered(message.error));
    else if (message.kind === "cancelled") reject(new Answered({ code: "cancelled", message: "cancelled" }));
    else resolve(message);
  }

  answer(meant) {
    return new Promise((resolve, reject) => this.waiting.push({ meant, resolve, reject }));
  }

  open(module, more = {}) {
    this.end.post({ kind: "open", module, slice: 4, ...more });
    return this.answer(({ kind }) => kind === "ready");
  }

  load(model, source, options = {}) {
    this.end.post({ kind: "load", model, name: `model ${model}`, source, options: { profiling: false, warmUps: 0, ...options } });
    return this.answer((answer) => ["loaded", "not-loaded"].includes(answer.kind) && answer.model === model);
  }

  unload(model) {
    this.end.post({ kind: "unload", model });
  }

  /** Starts a run; `.number` is what it can be cancelled by. */
  start(model, inputs, wanted) {
    const run = (this.run += 1);
    this.end.post({ kind: "run", run, model, inputs, ...(wanted && { wanted }) });
    const done = this.answer((answer) => answer.run === run);
    return Object.assign(done, { number: run });
  }

  cancel(run) {
    this.end.post({ kind: "cancel", run });
  }

  async memory() {
    this.end.post({ kind: "memory", ask: 1 });
    return (await this.answer(({ kind }) => kind === "memory")).bytes;
  }

  close() {
    return this.end.close();
  }
}

/** A shared memory; most tests need little. */
export function sharedMemory(maximum = 16384) {
  return new WebAssembly.Memory({ initial: 64, maximum, shared: true });
}

/** One memory with a stream and so many helpers; opened and ready. */
export async function pool(module, { helpers = 1, streams = 1, memory = sharedMemory(), ...more } = {}) {
  const agents = Array.from({ length: streams + helpers }, worker);
  for (const [agent, client] of agents.entries()) {
    await client.open(module, { memory, agent, ...(agent < streams ? more : { helper: true, slice: 0 }) });
  }
  return { memory, streams: agents.slice(0, streams), close: () => Promise.all(agents.map((client) => client.close())) };
}

/** A tensor of numbers for the wire. */
export function tensor(type, dims, values) {
  const views = { float32: Float32Array, int64: BigInt64Array, bool: Uint8Array, int32: Int32Array };
  return { type, dims, data: views[type].from(values).buffer };
}
