/**
 * The platform of web pages and of their workers.
 */

import { InferError } from "./errors.js";
import type { FromWorker, ToWorker } from "./messages.js";
import type { Agent, Flavour, Platform } from "./platform.js";

/** The addresses stand here literally, for bundlers to see. */
const ENGINES: Readonly<Record<Flavour, () => URL>> = {
  simd: () => new URL("./engine.wasm", import.meta.url),
  relaxed: () => new URL("./engine.relaxed.wasm", import.meta.url),
  threads: () => new URL("./engine.threads.wasm", import.meta.url),
  "relaxed-threads": () => new URL("./engine.relaxed.threads.wasm", import.meta.url),
};

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** Browsers. */
export const web: Platform = {
  get cores() {
    return navigator.hardwareConcurrency || 1;
  },
  get shared() {
    return globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== "undefined";
  },
  page: () => module(new URL("./inferry.wasm", import.meta.url)),
  engine: (flavour) => module(ENGINES[flavour]()),
  worker: (name, make) => agent(make ? make() : start(name)),
  inline: async () => {
    const { servePort } = await import("./engine/inline.js");
    return inlineAgent(servePort);
  },
};

/** A worker at the end of a channel. */
function agent(worker: Worker): Agent {
  const made: Agent = {
    channel: {
      send: (message: ToWorker, transfer: Transferable[] = []) => worker.postMessage(message, transfer),
      receive: () => {},
    },
    onlost: () => {},
    terminate: () => worker.terminate(),
  };
  worker.onmessage = (event: MessageEvent<FromWorker>) => made.channel.receive(event.data);
  worker.onerror = (event) => {
    event.preventDefault();
    made.onlost(event.message || "its script could not be loaded");
  };
  worker.onmessageerror = () => made.onlost("a message could not be read");
  return made;
}

/** The other end on this thread. */
function inlineAgent(serve: (port: MessagePort) => void): Agent {
  const { port1, port2 } = new MessageChannel();
  serve(port2);
  const made: Agent = {
    channel: { send: (message, transfer = []) => port1.postMessage(message, transfer), receive: () => {} },
    onlost: () => {},
    terminate: () => {
      port1.close();
      port2.close();
    },
  };
  port1.onmessage = (event: MessageEvent<FromWorker>) => made.channel.receive(event.data);
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

function module(address: URL): Promise<WebAssembly.Module> {
  const { href } = address;
  let made = compiled.get(href);
  if (!made) {
    made = fetched(href);
    compiled.set(href, made);
    made.catch(() => compiled.delete(href));
  }
  return made;
}

async function fetched(address: string): Promise<WebAssembly.Module> {
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
