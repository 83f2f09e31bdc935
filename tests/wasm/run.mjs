// Runs the behaviours of a WebAssembly module: `node run.mjs module.wasm [seeds]`. Prints a line for each, as Rust's test
// harness does, and ends with code 1 when one failed. A panic ends an instance, so the next behaviour gets a fresh one.

import { readFileSync } from "node:fs";

const [path, seeds = "20"] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(path));
const fresh = () => new WebAssembly.Instance(module, {}).exports;
const text = (exports, start, length) => new TextDecoder().decode(new Uint8Array(exports.memory.buffer, start, length));

let exports = fresh();
let failed = 0;
const [first, end] = process.env.INFERRY_SEED
  ? [Number(process.env.INFERRY_SEED), Number(process.env.INFERRY_SEED) + 1]
  : [0, Number(seeds)];
for (let behaviour = 0; behaviour < exports.behaviours(); behaviour++) {
  const name = text(exports, exports.name(behaviour), exports.name_length(behaviour));
  let seed = first;
  try {
    let ran = 0;
    for (; seed < end; seed++) ran += exports.run(behaviour, seed);
    if (ran > 0) console.log(`test ${name} ... ok`);
  } catch (error) {
    failed++;
    console.log(`test ${name} ... FAILED`);
    console.log(`with seed ${seed}: ${text(exports, exports.message(), exports.message_length()) || error}`);
    exports = fresh();
  }
}
process.exit(failed ? 1 : 0);
