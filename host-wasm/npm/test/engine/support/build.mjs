/**
 * What the tests of the engine run: its module in the flavours that Node 20 can run, and the worker's TypeScript as
 * JavaScript. Built when it is not fresh, into `target/npm/test`; a test run while nothing has changed waits a second for
 * cargo to say so.
 *
 * The modules have the feature `trial`, which adds ways to break them, and are otherwise what is shipped.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import * as esbuild from "esbuild";

const npm = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
export const repository = resolve(npm, "../..");
const target = resolve(process.env.CARGO_TARGET_DIR ?? join(repository, "target"));
const folder = join(target, "npm/test");

/** As the table in `host-wasm/engine/src/lib.rs` has them. */
const RUSTFLAGS = {
  engine: "-Ctarget-feature=+simd128",
  "engine.threads": "-Ctarget-feature=+simd128,+atomics,+bulk-memory,+mutable-globals --cfg inferry_threads",
};

/** The path of a flavour of the engine. */
export function engineFile(flavour) {
  const triple = "wasm32-unknown-unknown";
  execFileSync(
    "cargo",
    ["build", "--quiet", "--profile", "web", "--package", "inferry-wasm-engine", "--features", "trial", "--target", triple],
    { cwd: repository, env: { ...process.env, RUSTFLAGS: RUSTFLAGS[flavour] }, stdio: ["ignore", "ignore", "pipe"] },
  );
  const file = join(folder, `${flavour}.wasm`);
  mkdirSync(folder, { recursive: true });
  // Test files run at the same time: each puts a whole file in place.
  const whole = `${file}.${process.pid}`;
  copyFileSync(join(target, triple, "web/inferry_wasm_engine.wasm"), whole);
  renameSync(whole, file);
  return file;
}

/** A flavour of the engine, compiled. */
export async function engineModule(flavour) {
  return WebAssembly.compile(readFileSync(engineFile(flavour)));
}

/** Bundles a file of `src/engine`; gives its URL. */
export async function script(name) {
  const file = join(folder, `${name}.${process.pid}.mjs`);
  await esbuild.build({
    entryPoints: [join(npm, "src/engine", `${name}.ts`)],
    outfile: file,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "error",
  });
  return pathToFileURL(file);
}
