/**
 * The test models: the two homes of `tests/src/data.rs`, the fixtures, and how far an output may lie from them.
 */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { repository } from "./build.mjs";
import { readNpz } from "./npz.mjs";

const carried = join(repository, "tests/models");

/** Every model that has a fixture, as `case/X.onnx`. */
export function models() {
  const cases = readdirSync(carried, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const fixtures = ({ name }) => readdirSync(join(carried, name)).filter((file) => file.endsWith(".npz"));
  return cases.flatMap((entry) => fixtures(entry).map((file) => `${entry.name}/${file.replace(".npz", ".onnx")}`)).sort();
}

/** The bytes of a model; `undefined` when it has not been fetched. */
export function modelBytes(model) {
  const homes = [carried, join(repository, ".models")];
  const file = homes.map((home) => join(home, model)).find((path) => existsSync(path));
  return file && Uint8Array.from(readFileSync(file)).buffer;
}

/** The inputs and the expected outputs of a model, in the order of its ports. */
export function fixture(model) {
  const arrays = readNpz(join(carried, model.replace(".onnx", ".npz")));
  const side = (prefix) => {
    const side = [];
    for (let index = 0; arrays.has(`${prefix}_${index}`); index += 1) side.push(arrays.get(`${prefix}_${index}`));
    return side;
  };
  return { inputs: side("input"), outputs: side("output") };
}

/** Throws when an output is too far from what was expected. */
export function compare(model, index, got, want) {
  const where = `${model}, output ${index}`;
  if (got.type !== want.type || got.dims.join() !== want.dims.join()) {
    throw new Error(`${where}: ${got.type} [${got.dims}] instead of ${want.type} [${want.dims}]`);
  }
  const { atol, rtol, outside } = tolerance(model);
  const [a, b] = [numbers(got), numbers(want)];
  let beyond = 0;
  let largest = 0;
  for (let at = 0; at < b.length; at += 1) {
    const difference = Math.abs(Number(a[at]) - Number(b[at]));
    // Not `>`: a NaN is beyond as well, unless both are.
    const fits = difference <= atol + rtol * Math.abs(Number(b[at])) || Object.is(Number(a[at]), Number(b[at]));
    if (!fits) beyond += 1;
    largest = Math.max(largest, difference);
  }
  if (beyond > outside * b.length) {
    throw new Error(`${where}: ${beyond} of ${b.length} are too far away, the farthest by ${largest}`);
  }
}

function tolerance(model) {
  const table = JSON.parse(readFileSync(join(carried, "tolerances.json"), "utf8"));
  return { ...table.default, ...table[model] };
}

/** The elements of a tensor; of half floats too. */
function numbers({ type, data }) {
  const views = {
    bool: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
    uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
    float32: Float32Array, float64: Float64Array,
  };
  if (type === "float16") return Array.from(new Uint16Array(data), half);
  return new views[type](data);
}

function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
