// The tests of one file under Node: `node node.mjs PACKAGE FILE FILTER LIST MODELS…`, where LIST says which models have
// recorded outputs. A process of its own, so that one that hangs can be ended; it tells its parent what happens.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, perform } from "./perform.mjs";

const [entry, file, filter, list, ...folders] = process.argv.slice(2);
const report = (event) => process.send(event);
// A test model lies in one of several folders; relative addresses are looked for in each.
const place = (path) => pathToFileURL(folders.map((folder) => join(folder, path)).find(existsSync) ?? join(folders[0], path)).href;

try {
  const inferry = await import(pathToFileURL(entry).href);
  const fetchBytes = async (url) => new Uint8Array(await readFile(fileURLToPath(url)));
  await perform({
    file: pathToFileURL(file).href,
    mode: "node",
    filter,
    models: pathToFileURL(`${folders[0]}/`),
    list: JSON.parse(list),
    fetchBytes,
    inferry,
    report,
    extra: { entry: (name) => import(new URL(`${name}-node.js`, pathToFileURL(entry)).href), url: place, bytes: (path) => fetchBytes(place(path)) },
  });
} catch (error) {
  report({ kind: "broken", message: describe(error) });
}
// A worker that is left must not keep this process alive, nor must it be ended before its messages are out.
process.disconnect();
process.exitCode = 0;
