/**
 * The entry of a worker thread of Node: serves the thread that made it.
 */

import { parentPort } from "node:worker_threads";

import type { Channel, FromWorker, ToWorker } from "../messages.js";
import { serve } from "./serve.js";

const port = parentPort;
if (port === null) throw new Error("this module is the entry of a worker thread");
const channel: Channel<ToWorker, FromWorker> = {
  send: (message, transfer = []) => port.postMessage(message, transfer as readonly ArrayBuffer[]),
  receive: () => {},
};
serve(channel);
port.on("message", (message: ToWorker) => channel.receive(message));
