// The page of the tests: reads from its address what to run, and tells the driver through `globalThis.__report`.

import { describe, perform } from "./perform.mjs";

const asked = new URLSearchParams(location.search);
const report = (event) => globalThis.__report(event);

try {
  const inferry = await import(asked.get("package"));
  await perform({
    file: asked.get("file"),
    mode: asked.get("mode"),
    filter: asked.get("filter") ?? "",
    models: new URL("/models/", location.href),
    list: await (await fetch("/models.json")).json(),
    fetchBytes: async (url) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    },
    inferry,
    report,
    extra: { entry: (name) => import(new URL(`${name}.js`, new URL(asked.get("package"), location.href)).href) },
  });
} catch (error) {
  report({ kind: "broken", message: describe(error) });
}
