/**
 * The platform of web pages and of their workers.
 */

import { InferError } from "./errors.js";
import type { FromWorker, ToWorker } from "./messages.js";
import { once } from "./modules.js";
import type { Agent, Platform } from "./platform.js";

const module = once(fetched);

/** Browsers. */
export const web: Platform = {
  get cores() {
    return navigator.hardwareConcurrency || 1;
  },
  get shared() {
    return globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== "undefined";
  },
  page: () => module("page"),
  engine: module,
  worker: (name, make) => {
    const worker = make ? make() : start(name);
    const made = agent(worker, () => worker.terminate());
    worker.onerror = (event) => {
      event.preventDefault();
      made.onlost(event.message || "its script could not be loaded");
    };
    return made;
  },
  inline: async () => (await import("./engine/inline.js")).inlineAgent(),
};

/** The end of a channel with a worker behind it. */
function agent(end: Worker, terminate: () => void): Agent {
  const made: Agent = {
    channel: { send: (message: ToWorker, transfer: Transferable[] = []) => end.postMessage(message, transfer), receive: () => {} },
    onlost: () => {},
    terminate,
  };
  end.onmessage = (event: MessageEvent<FromWorker>) => made.channel.receive(event.data);
  end.onmessageerror = () => made.onlost("a message could not be read");
  return made;
}

function start(name: string): Worker {
  try {
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name });
  } catch (cause) {
    // Served from another origin: a worker must come from the page's own, and may then import.
    const address = new URL("./worker.js", import.meta.url).href;
    if (new URL(address).origin === globalThis.location?.origin) throw cause;
    const blob = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
    const url = URL.createObjectURL(blob);
    const worker = new Worker(url, { type: "module", name });
    // Kept until it has been read.
    worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
    return worker;
  }
}

async function fetched({ href: address }: URL): Promise<WebAssembly.Module> {
  let response: Response;
  try {
    response = await fetch(address);
  } catch (cause) {
    throw new InferError("network", `${address} could not be fetched`, { cause });
  }
  if (!response.ok) throw new InferError("network", `${address} answered ${response.status} ${response.statusText}`.trim());
  // Streaming needs the right type; a server that does not know it is no reason to fail.
  const typed = response.headers.get("content-type")?.startsWith("application/wasm");
  return typed ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}
