// Runs a WebAssembly program that was built for WASI under Node: `node wasi.mjs PROGRAM.wasm ARGUMENTS`.
// Its exit code is the program's. Words in the environment variable ARGUMENTS are further arguments.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const [file, ...args] = process.argv.slice(2);
const more = (process.env.ARGUMENTS ?? "").split(" ").filter(Boolean);
const wasi = new WASI({ version: "preview1", args: [file, ...args, ...more], env: process.env, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(file));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
