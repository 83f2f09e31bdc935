/**
 * What the unit tests of the package share: the package as `cargo xtask npm` has built it, and the test models.
 *
 * `INFERRY_PACKAGE` is the folder of another build.
 */

import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const repository = resolve(dirname(fileURLToPath(import.meta.url)), "../../../..");
const target = resolve(process.env.CARGO_TARGET_DIR ?? join(repository, "target"));

/** A path in the folder of what is built. */
export const built = (path) => join(target, path);

/** The folder of the package. */
export const folder = resolve(process.env.INFERRY_PACKAGE ?? join(target, "npm/package"));

/** A module of the package. */
export const load = (entry) => import(pathToFileURL(join(folder, "dist", entry)).href);

export const inferry = await load("node.js");

/** The path of a model that the repository carries. */
export const model = (path) => join(repository, "tests/models", path);

/** A promise with its ends. */
export function deferred() {
  let ends;
  const promise = new Promise((resolve, reject) => (ends = { resolve, reject }));
  return { promise, ...ends };
}

/** Resolves when the event loop has gone round: everything that could go on has. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));

/** What a promise is rejected with. */
export const rejection = (promise) =>
  promise.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)}`);
    },
    (error) => error,
  );

/** Everything that an iterator gives. */
export async function all(iterator) {
  const items = [];
  for await (const item of iterator) items.push(item);
  return items;
}

/** Numbers between -1 and 1 that depend on the seed alone. */
export function noise(length, seed = 1) {
  return Float32Array.from({ length }, (_, index) => Math.sin(index * 12.9898 + seed * 78.233));
}
