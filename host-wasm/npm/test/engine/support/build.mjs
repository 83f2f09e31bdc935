/**
 * What the tests of the engine run: its module in the flavours that Node 20 can run, and the worker's TypeScript as
 * JavaScript. Built when it is not fresh, into `target/npm/test`; a test run while nothing has changed waits a second for
 * cargo to say so.
 *
 * The modules have the feature `trial`, which adds ways to break them, and are otherwise what is shipped. Where they have been
 * built already, `INFERRY_TRIAL_ENGINES` names their folder and cargo is not asked.
 */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
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
  const built = process.env.INFERRY_TRIAL_ENGINES;
  if (built !== undefined) return join(built, `${flavour}.wasm`);
  const triple = "wasm32-unknown-unknown";
  // A folder for each, or each would make the other stale.
  const own = join(folder, flavour);
  const what = ["--package", "inferry-wasm-engine", "--lib", "--features", "trial", "--profile", "web"];
  execFileSync("cargo", ["build", "--quiet", ...what, "--target", triple, "--target-dir", own], {
    cwd: repository,
    env: { ...process.env, RUSTFLAGS: RUSTFLAGS[flavour], CARGO_INCREMENTAL: "0" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  return join(own, triple, "web/inferry_wasm_engine.wasm");
}

const compiled = new Map();

/** A flavour of the engine, compiled. */
export function engineModule(flavour) {
  if (!compiled.has(flavour)) compiled.set(flavour, WebAssembly.compile(readFileSync(engineFile(flavour))));
  return compiled.get(flavour);
}

/** Bundles a file of `src/engine`; gives its URL. */
export async function script(name) {
  // Test files run at the same time, and each has its own.
  const file = join(folder, `scripts/${name}.${process.pid}.mjs`);
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
