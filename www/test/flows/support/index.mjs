/**
 * What the tests of the flows share: the flows as Vite bundles them, the package they run on, and a server that has the files
 * of `models.json` below its base, as the page has.
 *
 * `INFERRY_PACKAGE` is the folder of the package; without it, what `cargo xtask npm` has built.
 */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { build } from "vite";

import { repository } from "./samples.mjs";

export * from "./samples.mjs";

const target = resolve(process.env.CARGO_TARGET_DIR ?? join(repository, "target"));
const folder = resolve(process.env.INFERRY_PACKAGE ?? join(target, "npm/package"));
const entry = pathToFileURL(join(folder, "dist/node.js")).href;

/** The package, the same as the flows use. */
export const inferry = await import(entry);

/** What `models.json` says. */
export const { files } = JSON.parse(readFileSync(join(repository, "www/models.json"), "utf8"));

/** A module of `src/flows`, with what it imports. */
export async function load(name) {
  const place = mkdtempSync(join(tmpdir(), "inferry-flows-"));
  try {
    await build({
      configFile: false,
      logLevel: "warn",
      root: join(repository, "www"),
      build: {
        outDir: place,
        emptyOutDir: false,
        minify: false,
        target: "es2022",
        lib: { entry: join(repository, "www/src/flows", `${name}.ts`), formats: ["es"], fileName: () => "flows.mjs" },
        rollupOptions: { external: ["inferry"], output: { paths: { inferry: entry } } },
      },
    });
    return await import(pathToFileURL(join(place, "flows.mjs")).href);
  } finally {
    rmSync(place, { recursive: true });
  }
}

/** For `test`: why it cannot run when files of `models.json` have not been fetched. */
export const unless = (...names) => {
  const missing = names.map((name) => files[name].from).find((from) => !existsSync(join(repository, from)));
  return { skip: missing && `${missing} is not here; cargo xtask models fetches it` };
};

/** Serves the files. `broken` has other bytes for some of the names, or null; `stalled` are those of which only a half arrives. */
export async function serve({ broken = {}, stalled = [] } = {}) {
  const asked = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname).slice("/models/".length);
    asked.push(name);
    const known = name in broken ? broken[name] : files[name] && readFileSync(join(repository, files[name].from));
    if (!known) return response.writeHead(404).end();
    response.writeHead(200, { "content-length": known.length, "content-type": "application/octet-stream" });
    if (stalled.includes(name)) response.write(known.subarray(0, known.length >> 1));
    else response.end(known);
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const close = () => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  };
  return { base: new URL(`http://127.0.0.1:${server.address().port}/models/`), asked, close };
}

/** A bench with two workers, to be closed when its tests are over. `options` as for {@link serve}. */
export async function bench(options) {
  const { base, asked, close } = await serve(options);
  const runtime = await inferry.createRuntime({ workers: 2 });
  return {
    runtime,
    base,
    asked,
    close: () => {
      runtime.dispose();
      return close();
    },
  };
}

/** What a promise is rejected with. */
export const rejection = (promise) =>
  promise.then(
    (value) => assert.fail(`resolved with ${JSON.stringify(value)?.slice(0, 200)}`),
    (error) => error,
  );

/** Numbers that may lie so far apart. */
export function near(found, wanted, tolerance, what = "") {
  assert.equal(found.length, wanted.length, what);
  const far = [...found].findIndex((value, index) => !(Math.abs(value - wanted[index]) <= tolerance));
  assert.equal(far, -1, `${what} #${far}: ${found[far]}, not ${wanted[far]}`);
}
