/**
 * The modules of WebAssembly beside the code: where they are, and that each is compiled once.
 */

import type { Flavour } from "./platform.js";

/** The addresses stand here literally, for bundlers to see. */
export const MODULES: Readonly<Record<Flavour | "page", () => URL>> = {
  page: () => new URL("./inferry.wasm", import.meta.url),
  simd: () => new URL("./engine.wasm", import.meta.url),
  relaxed: () => new URL("./engine.relaxed.wasm", import.meta.url),
  threads: () => new URL("./engine.threads.wasm", import.meta.url),
  "relaxed-threads": () => new URL("./engine.relaxed.threads.wasm", import.meta.url),
};

/** Compiles modules in a platform's way, each once; one that failed is tried again. */
export function once(compile: (address: URL) => Promise<WebAssembly.Module>): (name: Flavour | "page") => Promise<WebAssembly.Module> {
  const compiled = new Map<string, Promise<WebAssembly.Module>>();
  return (name) => {
    let made = compiled.get(name);
    if (!made) {
      made = compile(MODULES[name]());
      compiled.set(name, made);
      made.catch(() => compiled.delete(name));
    }
    return made;
  };
}
