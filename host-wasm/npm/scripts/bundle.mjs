// Writes the package's JavaScript and its package.json: `node scripts/bundle.mjs FOLDER`, called by `cargo xtask npm`.
//
// The entries that a program imports share chunks, so that `inferry` and `inferry/ort` in one program are one runtime. The
// workers are one file each: a bundler that copies a worker as it is, and a Blob that imports it, need nothing else.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const [folder] = process.argv.slice(2);
const dist = join(folder, "dist");
const source = (name) => ["src", "src/engine"].map((place) => `${place}/${name}.ts`).find(existsSync);
const entries = (names) => Object.fromEntries(names.map((name) => [name, source(name)]).filter(([, path]) => path));

const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir: dist,
  legalComments: "none",
  charset: "utf8",
  external: ["node:*"],
  logLevel: "warning",
};
// Browsers and Node apart: what only one of them shares would be a chunk more to fetch for both.
for (const [platform, names] of Object.entries({ web: ["index", "ort"], node: ["node", "ort-node"] })) {
  await build({ ...common, entryPoints: entries(names), splitting: true, chunkNames: `${platform}-[hash]` });
}
for (const [name, path] of Object.entries(entries(["worker", "node-worker"]))) {
  await build({ ...common, entryPoints: { [name]: path } });
}

// A worker's script exports nothing, and whoever asks for its declarations is told so.
writeFileSync(join(dist, "worker.d.ts"), "export {};\n");

const { devDependencies, scripts, ...manifest } = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
if (existsSync("README.md")) writeFileSync(join(folder, "README.md"), readFileSync("README.md"));
