/**
 * Inferry in Node (20 and later): the same, on worker threads.
 */

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { type CompileOptions, compileOn } from "./compile.js";
import { InferError } from "./errors.js";
import type { FromWorker } from "./messages.js";
import type { Model } from "./model.js";
import { once } from "./modules.js";
import type { Agent, Platform } from "./platform.js";
import { Runtime, type RuntimeOptions } from "./runtime.js";
import type { Source } from "./source.js";

export * from "./surface.js";

/**
 * Compiles a model in a worker thread. A string is a path, or an address with a scheme.
 */
export function compile(source: Source, options: CompileOptions = {}): Promise<Model> {
  return compileOn(node, source, options);
}

/** Workers of one's own, to share between models or to dispose of together. */
export function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return Runtime.create(node, options);
}

const module = once((address) => readFile(address).then((bytes) => WebAssembly.compile(bytes)));

const node: Platform = {
  cores: availableParallelism(),
  shared: true,
  page: () => module("page"),
  engine: module,
  worker: (name) => {
    const worker = new Worker(new URL("./node-worker.js", import.meta.url), { name });
    return agent(worker, () => void worker.terminate());
  },
  inline: async () => (await import("./engine/inline.js")).inlineAgent(),
  readFile: (source) => {
    if (source instanceof URL ? source.protocol !== "file:" : /^[a-z][a-z+.-]+:/i.test(source) && !source.startsWith("file:")) return undefined;
    const path = source instanceof URL || source.startsWith("file:") ? fileURLToPath(source) : source;
    return read(path);
  },
};

async function read(path: string): Promise<Blob> {
  try {
    return new Blob([await readFile(path)]);
  } catch (cause) {
    throw new InferError("network", `${path} could not be read: ${(cause as Error).message}`, { cause });
  }
}

/** The end of a channel with a worker behind it. */
function agent(end: Worker, terminate: () => void): Agent {
  let unanswered = 0;
  // Who has nothing to do does not keep the program alive; who has, does.
  const count = (change: number): void => {
    unanswered = Math.max(0, unanswered + change);
    if (unanswered > 0) end.ref();
    else end.unref();
  };
  const made: Agent = {
    channel: {
      send: (message, transfer = []) => {
        end.postMessage(message, transfer as readonly ArrayBuffer[]);
        if (message.kind !== "cancel" && message.kind !== "unload") count(1);
      },
      receive: () => {},
    },
    onlost: () => {},
    terminate,
  };
  end.on("message", (message: FromWorker) => {
    if (message.kind !== "progress") count(-1);
    made.channel.receive(message);
  });
  end.on("error", (error: Error) => made.onlost(error.message));
  end.on("exit", (code: number) => made.onlost(`it ended with the code ${code}`));
  return made;
}
