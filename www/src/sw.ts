/**
 * Keeps the page, so that it opens without a network.
 *
 * The shell (everything that was built, except engines and onnxruntime-web) is fetched when this is installed. Files with a
 * hash in their name are taken from the cache from then on; the page itself from the network when there is one, so that a new
 * version shows. An engine is kept when the page says which one it runs. Models are not kept here: `inferry` keeps them itself.
 */

declare const __FIRST__: string[];
declare const __LATER__: string[];
const worker = self as unknown as ServiceWorkerGlobalScope;

/** What the service worker's scope has, as far as it is used here: TypeScript's libraries for pages and for workers exclude each other. */
interface ServiceWorkerGlobalScope extends EventTarget {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
}
interface Waiting extends Event {
  waitUntil(until: Promise<unknown>): void;
}
interface Fetching extends Waiting {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

const FIRST = __FIRST__;
const LATER = __LATER__;
/** A cache for each version: the names of the files have their hashes. */
const NAME = `inferry-www-${digest([...FIRST, ...LATER].join())}`;

worker.addEventListener("install", (event) => {
  (event as Waiting).waitUntil(caches.open(NAME).then((cache) => cache.addAll(FIRST)).then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (event) => {
  const tidy = async (): Promise<void> => {
    const old = (await caches.keys()).filter((name) => name.startsWith("inferry-www-") && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
    await worker.clients.claim();
  };
  (event as Waiting).waitUntil(tidy());
});

/** `{ keep: "relaxed" }`: the engine of that flavour will be wanted without a network, too. */
worker.addEventListener("message", (event) => {
  const flavour = (event as MessageEvent<{ keep?: string }>).data.keep;
  if (flavour === undefined) return;
  const name = { simd: "engine", relaxed: "engine.relaxed", threads: "engine.threads", "relaxed-threads": "engine.relaxed.threads" }[flavour];
  const file = LATER.find((file) => new RegExp(`/${name}-[\\w-]{8}\\.wasm$`).test(file));
  if (!file) return;
  const keep = caches.open(NAME).then(async (cache) => {
    if (!(await cache.match(file))) await cache.add(file);
  });
  (event as unknown as Waiting).waitUntil(keep);
});

worker.addEventListener("fetch", (event) => {
  const { request } = event as Fetching;
  const address = new URL(request.url);
  if (request.method !== "GET" || !request.url.startsWith(worker.registration.scope)) return;
  const path = request.url.slice(worker.registration.scope.length);
  if (request.mode === "navigate") return (event as Fetching).respondWith(newest(request));
  // Models have a cache of their own.
  if (path.endsWith(".onnx")) return;
  if (/^(assets|samples|models)\//.test(path)) (event as Fetching).respondWith(kept(request, address));
});

/** From the cache; else from the network, and kept. */
async function kept(request: Request, address: URL): Promise<Response> {
  const cache = await caches.open(NAME);
  const known = await cache.match(address.pathname);
  if (known) return known;
  const answer = await fetch(request);
  if (answer.status === 200) await cache.put(address.pathname, answer.clone());
  return answer;
}

/** From the network; when there is none, what was kept. */
async function newest(request: Request): Promise<Response> {
  const cache = await caches.open(NAME);
  try {
    const answer = await fetch(request);
    if (answer.status === 200) await cache.put("./", answer.clone());
    return answer;
  } catch (error) {
    const known = await cache.match("./");
    if (known) return known;
    throw error;
  }
}

/** A short name for a text. */
function digest(text: string): string {
  let hash = 0;
  for (const letter of text) hash = (Math.imul(hash, 31) + (letter.codePointAt(0) ?? 0)) | 0;
  return (hash >>> 0).toString(36);
}
