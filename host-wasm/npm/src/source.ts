/**
 * Where a model comes from: whatever holds its bytes becomes a `Blob`, which workers read without a copy on the page.
 */

import { InferError } from "./errors.js";
import { pause } from "./engine/pause.js";
import { aborted, onAbort } from "./stop.js";

/** What {@link compile} takes. A string is an address; in Node, a path too. */
export type Source = string | URL | Request | Response | ReadableStream<Uint8Array> | Blob | ArrayBuffer | ArrayBufferView;

/** Bytes that have arrived. `total` is `undefined` when the server did not say. */
export type Arrived = (phase: "fetch" | "cache", done: number, total: number | undefined) => void;

/** Whether fetched models are kept: in the Cache API, under this name. */
export type CacheOption = boolean | "reload" | { readonly name?: string; readonly reload?: boolean };

/** What fetching needs besides the source. */
export interface FetchOptions {
  readonly signal: AbortSignal | undefined;
  readonly cache: CacheOption;
  /** Told of what arrives, if somebody wants to know. */
  readonly arrived?: Arrived | undefined;
  /** Reads what is no address of the web; Node's paths. */
  readonly readFile?: ((source: string | URL) => Promise<Blob> | undefined) | undefined;
}

/** What an abort stops here, for its error. */
export const WHAT = "the compilation";

/** The longest that bytes are read before others have the thread, in milliseconds. */
const TURN = 2;

/** So many bytes become a blob: the browser copies them where it is made, a megabyte in five milliseconds and more. */
const BLOB = 1 << 18;

/** The name of the cache in which models are kept. */
export const CACHE = "inferry-models";

/**
 * All bytes of a source.
 * @throws InferError `network` or `cancelled`, with the cause.
 */
export async function bytes(source: Source, options: FetchOptions): Promise<Blob> {
  const { signal, arrived } = options;
  if (source instanceof Blob) return told(source, arrived);
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return told(new Blob([source as ArrayBuffer]), arrived);
  try {
    if (typeof source === "string" || source instanceof URL) {
      const file = options.readFile?.(source);
      if (file) return told(await file, arrived);
    }
    if (source instanceof ReadableStream) return await drain(source, undefined, "fetch", options);
    if (source instanceof Response) return await pieces(source, "fetch", options);
    return await fetched(source as string | URL | Request, options);
  } catch (cause) {
    if (signal?.aborted) throw aborted(signal, WHAT);
    if (cause instanceof InferError) throw cause;
    throw new InferError("network", `the model could not be fetched: ${(cause as Error)?.message ?? cause}`, { cause });
  }
}

/** A name for errors and traces. */
export function nameOf(source: Source): string {
  if (typeof source === "string") return source;
  if (source instanceof URL) return source.href;
  if (source instanceof Request || source instanceof Response) return source.url;
  return "model";
}

async function fetched(source: string | URL | Request, options: FetchOptions): Promise<Blob> {
  const request = new Request(source, options.signal ? { signal: options.signal } : {});
  const cache = await storage(options.cache, request);
  if (cache && !cache.reload) {
    const kept = await cache.store.match(request);
    if (kept) return whole(kept, async () => (await cache.store.match(request)) ?? answer(request), "cache", options);
  }
  const blob = await whole(await answer(request), () => answer(request), "fetch", options);
  // A full disk or a private window is no reason to fail.
  await cache?.store.put(request.url, new Response(blob, { headers: { "content-length": String(blob.size) } })).catch(() => undefined);
  return blob;
}

async function storage(option: CacheOption, request: Request): Promise<{ store: Cache; reload: boolean } | undefined> {
  if (option === false || request.method !== "GET" || !/^https?:/.test(request.url) || typeof caches === "undefined") return undefined;
  const { name = CACHE, reload = option === "reload" } = typeof option === "object" ? option : {};
  try {
    return { store: await caches.open(name), reload };
  } catch {
    return undefined;
  }
}

async function answer(request: Request): Promise<Response> {
  const response = await fetch(request);
  if (response.ok) return response;
  throw new InferError("network", `${request.url} answered ${response.status} ${response.statusText}`.trim());
}

/** All of a response, whose bytes need not pass through this thread where nobody watches them arrive. */
async function whole(response: Response, again: () => Promise<Response>, phase: "fetch" | "cache", options: FetchOptions): Promise<Blob> {
  const { signal, arrived } = options;
  if (arrived) return pieces(response, phase, options);
  try {
    const blob = await response.blob();
    signal?.throwIfAborted();
    return blob;
  } catch {
    signal?.throwIfAborted();
    // Chromium writes a blob of some megabytes to the disk, and fails when that is nearly full; small ones stay in memory.
    return pieces(await again(), phase, options);
  }
}

async function pieces(response: Response, phase: "fetch" | "cache", options: FetchOptions): Promise<Blob> {
  if (!response.body) return told(await response.blob(), options.arrived);
  const length = Number(response.headers.get("content-length"));
  // With an encoding the length is that of something else.
  const total = length > 0 && !response.headers.get("content-encoding") ? length : undefined;
  return drain(response.body, total, phase, options);
}

async function drain(body: ReadableStream<Uint8Array>, total: number | undefined, phase: "fetch" | "cache", options: FetchOptions): Promise<Blob> {
  const reader = body.getReader();
  // A large blob is copied where it is made, so it is made of smaller ones.
  const blobs: Blob[] = [];
  let parts: BlobPart[] = [];
  let held = 0;
  const { signal, arrived } = options;
  const stop = () => void reader.cancel(signal?.reason).catch(() => undefined);
  const deaf = onAbort(signal, stop);
  try {
    for (let done = 0, began = performance.now(); ;) {
      const part = await reader.read();
      signal?.throwIfAborted();
      if (part.done) break;
      parts.push(part.value as BlobPart);
      held += part.value.byteLength;
      done += part.value.byteLength;
      arrived?.(phase, done, total === undefined ? undefined : Math.max(total, done));
      if (held >= BLOB) {
        blobs.push(new Blob(parts));
        [parts, held] = [[], 0];
      }
      // What is there already comes without a turn of the event loop in between.
      if (performance.now() - began < TURN) continue;
      await pause();
      began = performance.now();
    }
  } finally {
    deaf();
  }
  return new Blob([...blobs, ...parts]);
}

function told(blob: Blob, arrived: Arrived | undefined): Blob {
  arrived?.("fetch", blob.size, blob.size);
  return blob;
}
