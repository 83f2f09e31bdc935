/**
 * The entry of a module worker in a browser: serves the page that made it.
 */

import type { Channel, FromWorker, ToWorker } from "../messages.js";
import { serve } from "./serve.js";

/** The part of `DedicatedWorkerGlobalScope` that is used; the types of a page and of a worker cannot be loaded together. */
interface WorkerScope {
  postMessage(message: FromWorker, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
const channel: Channel<ToWorker, FromWorker> = {
  send: (message, transfer = []) => scope.postMessage(message, transfer),
  receive: () => {},
};
serve(channel);
scope.onmessage = (event) => channel.receive(event.data);
