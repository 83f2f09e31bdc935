/**
 * Letting the event loop have its turn, as soon as it is done with what is due: the worker's messages are read meanwhile.
 *
 * Not a timer: browsers stretch those to milliseconds. A message to oneself comes after the messages that are there already.
 */

/** Makes a function whose promise is fulfilled in a turn of its own. */
export function makePause(): () => Promise<void> {
  if (typeof setImmediate === "function") return () => new Promise((resolve) => setImmediate(resolve));
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(null);
    });
}

let shared: (() => Promise<void>) | undefined;

/** A turn of the event loop for others: first calls of code that the browser has yet to compile are long enough by themselves. */
export function pause(): Promise<void> {
  return (shared ??= makePause())();
}
