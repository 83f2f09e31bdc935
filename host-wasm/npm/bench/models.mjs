// What is measured on: every test model with a fixture that is here, and a model of one Add made on the spot.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The text recogniser and detector, the larger ones if they have been fetched. */
export const RECOGNISERS = ["ppocrv4/ch_PP-OCRv4_rec_infer", "tinyocr_v6/PP-OCRv6_rec_tiny"];
export const DETECTORS = ["ppocrv4/ch_PP-OCRv4_det_infer", "tinyocr_v6/PP-OCRv6_det_tiny"];

/**
 * The models below the folders `homes` that have a fixture: `{ name, address, npz }`, addresses as the pages see them.
 * `homes[0]` has the fixtures.
 */
export function models(homes) {
  const [carried] = homes;
  const cases = readdirSync(carried, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = cases.flatMap(({ name }) =>
    readdirSync(join(carried, name)).filter((file) => file.endsWith(".npz")).map((file) => `${name}/${file.slice(0, -4)}`));
  const isHere = (name) => homes.some((home) => existsSync(join(home, `${name}.onnx`)));
  return names.sort().filter(isHere).map((name) => ({ name, address: `/models/${name}.onnx`, npz: `/models/${name}.npz` }));
}

/** Models of random weights that `cargo xtask bench` has left in `folder`, each with its arrays; none when it has not run yet. */
export function speedModels(folder) {
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  const names = files.filter((file) => file.endsWith(".onnx")).map((file) => file.slice(0, -5));
  const whole = names.filter((name) => files.includes(`${name}.npz`));
  return whole.map((name) => ({ name: `speed/${name}`, address: `/speed/${name}.onnx`, npz: `/speed/${name}.npz` }));
}

/** The first of `names` that is among the models. */
export function preferred(models, names) {
  const name = names.find((name) => models.some((model) => model.name === name));
  return models.find((model) => model.name === name);
}

/**
 * How far the outputs of the two sides may lie apart: twice what either may differ from the fixture. A `share` is one of the
 * largest magnitude of an output.
 */
export function tolerances(folder) {
  const table = JSON.parse(readFileSync(join(folder, "tolerances.json"), "utf8"));
  return (name) => {
    // Random weights make large numbers, and those that are quantized steps of different sizes: as in `xtask/bench/models.py`.
    if (name.startsWith("speed/")) {
      return name.endsWith("_qdq") ? { share: 0.06, atol: 0, rtol: 2e-3, outside: 0.1 } : { atol: 2e-3, rtol: 2e-3, outside: 0 };
    }
    const { atol, rtol, outside } = { ...table.default, ...table[`${name}.onnx`] };
    return { atol: 2 * atol, rtol: 2 * rtol, outside: 2 * outside };
  };
}

/** Writes the model of one Add (`z = x + y`, four numbers each) into a folder that is served; gives it as {@link models} does. */
export function writeAdd(folder) {
  mkdirSync(join(folder, "bench"), { recursive: true });
  writeFileSync(join(folder, "bench/add.onnx"), add());
  const input = (data) => ({ type: "float32", dims: [4], data });
  return { name: "one Add", address: "/models/bench/add.onnx", values: [input([1, 2, 3, 4]), input([10, 20, 30, 40])] };
}

/** The bytes of the model, as protocol buffers: the fields are those of onnx.proto. */
function add() {
  const text = (field, value) => bytes(field, [...Buffer.from(value)]);
  const bytes = (field, value) => [(field << 3) | 2, value.length, ...value];
  const number = (field, value) => [field << 3, value];
  const shape = bytes(2, bytes(1, number(1, 4)));
  const port = (field, name) => bytes(field, [...text(1, name), ...bytes(2, bytes(1, [...number(1, 1), ...shape]))]);
  const node = bytes(1, [...text(1, "x"), ...text(1, "y"), ...text(2, "z"), ...text(4, "Add")]);
  const graph = [...node, ...text(2, "add"), ...port(11, "x"), ...port(11, "y"), ...port(12, "z")];
  return Uint8Array.from([...number(1, 8), ...bytes(7, graph), ...bytes(8, [...text(1, ""), ...number(2, 17)])]);
}
