/**
 * An engine on the calling thread, behind a port: for those who are in a worker already, or have none.
 *
 * What the other end of the port sees is the same as with a worker. The thread is shared in slices, so an `open` with a
 * slice of 0 would block it for a whole run.
 */

import type { Channel, FromWorker, ToWorker } from "../messages.js";
import { serve } from "./serve.js";

/** Serves whoever has the other end of the port. */
export function servePort(port: MessagePort): void {
  const channel: Channel<ToWorker, FromWorker> = {
    send: (message, transfer = []) => port.postMessage(message, transfer),
    receive: () => {},
  };
  serve(channel);
  port.onmessage = (event: MessageEvent<ToWorker>) => channel.receive(event.data);
}
