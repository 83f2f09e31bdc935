/**
 * Pictures as inputs, against numpy and Pillow (`pictures.py`): raw pixels, which give the same numbers on every host.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { all, inferry, model, rejection } from "./support.mjs";

const { Tensor, compile, createRuntime } = inferry;
const wanted = JSON.parse(readFileSync(new URL("pictures.json", import.meta.url), "utf8"));

/** An `ImageData` of what looks like one. */
function picture(width = wanted.width, height = wanted.height) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const from = (Math.floor(pixel / width) * wanted.width + (pixel % width)) * 3;
    data.set([...wanted.picture.slice(from, from + 3), 255], pixel * 4);
  }
  return { data, width, height };
}

const others = { rows: new Tensor("float16", new Uint16Array(72), [1, 4, 6, 3]), gray: new Tensor("uint8", new Uint8Array(24), [4, 6]) };

let runtime;
const pictures = (images, options) => compile(model("small/pictures.onnx"), { runtime, warmUps: 0, images, ...options });
before(async () => (runtime = await createRuntime({ workers: 2 })));
after(() => runtime.dispose());

function near(found, expected, dims) {
  assert.deepEqual([...found.dims], dims);
  const far = expected.findIndex((value, index) => Math.abs(value - found.data[index]) > 1e-5);
  assert.equal(far, -1, `element ${far}: ${found.data[far]}, not ${expected[far]}`);
}

/** From rows of pixels to planes. */
function planes({ expected, dims: [height, width] }) {
  const area = width * height;
  return { values: Array.from({ length: 3 * area }, (_, index) => expected[(index % area) * 3 + Math.floor(index / area)]), dims: [1, 3, height, width] };
}

for (const wish of wanted.cases) {
  test(`a picture, ${wish.name}`, async () => {
    const model = await pictures({ planes: wish.options });
    const { planes_out } = await model.run({ planes: picture(), ...others });
    const { values, dims } = planes(wish);
    near(planes_out, values, dims);
    model.dispose();
  });
}

test("layouts and types are those of the input", async () => {
  const model = await pictures({ planes: {}, rows: wanted.rows.options, gray: wanted.gray.options });
  const small = picture(6, 4);
  const { rows_out, gray_out } = await model.run({ planes: small, rows: small, gray: small });
  assert.deepEqual([...rows_out.data], wanted.rows.expected);
  assert.deepEqual([...gray_out.data], wanted.gray.expected);
});

test("numbers of 16 bits are rounded as numpy rounds them", async () => {
  // Values that numpy has been asked for: halves to even, too small, too large.
  const asked = [[1 / 3, 0x3555], [2049, 0x6800], [2051, 0x6802], [65519, 0x7bff], [65520, 0x7c00], [6e-8, 0x0001], [2e-8, 0], [6.1e-5, 0x03ff], [-1e-7, 0x8002]];
  for (const [value, bits] of asked) {
    const model = await pictures({ rows: { mean: 1 - value, scale: 1 } });
    const one = { data: new Uint8ClampedArray(6 * 4 * 4).fill(1), width: 6, height: 4 };
    const { rows_out } = await model.run({ planes: new Tensor("float32", new Float32Array(3), [1, 3, 1, 1]), rows: one, gray: others.gray });
    assert.equal(rows_out.data[0], bits, String(value));
    model.dispose();
  }
});

test("a part is taken per run, and a tensor still passes", async () => {
  const model = await pictures({ planes: { crop: { x: 0, y: 0, width: 1, height: 1 } } });
  const region = { image: picture(), crop: { x: 2, y: 1, width: 6, height: 3 } };
  const wish = planes(wanted.cases.find(({ name }) => name === "a part"));
  near((await model.run({ planes: region, ...others })).planes_out, wish.values, wish.dims);
  assert.deepEqual([...(await model.run({ planes: picture(), ...others })).planes_out.dims], [1, 3, 1, 1]);
  const tensor = new Tensor("float32", [1, 2, 3], [1, 3, 1, 1]);
  assert.deepEqual([...(await model.run({ planes: tensor, ...others })).planes_out.data], [1, 2, 3]);
});

test("pixels are copied when a run is asked for, or moved", async () => {
  const model = await pictures({ planes: {} });
  const image = picture();
  const run = model.run({ planes: image, ...others });
  image.data.fill(0);
  const wish = planes(wanted.cases[0]);
  near((await run).planes_out, wish.values, wish.dims);
  const moved = picture();
  await model.run({ planes: moved, rows: new Tensor("float16", new Uint16Array(72), [1, 4, 6, 3]), gray: new Uint8Array(24) }, { transfer: true });
  assert.equal(moved.data.length, 0);
  assert.equal((await rejection(model.run({ planes: moved, ...others }))).code, "invalid-input");
});

test("a request and a stream take pictures too", async () => {
  const model = await pictures({ planes: {} });
  const request = model.createInferRequest();
  for (const [name, tensor] of Object.entries(others)) request.setTensor(name, tensor);
  request.setTensor("planes", picture());
  const wish = planes(wanted.cases[0]);
  for (let round = 0; round < 2; round++) near((await request.startAsync()).planes_out, wish.values, wish.dims);
  const results = await all(model.stream([picture(), picture(3, 2)].map((planes) => ({ planes, ...others }))));
  assert.deepEqual(results.map(({ planes_out }) => [...planes_out.dims]), [[1, 3, 5, 9], [1, 3, 2, 3]]);
});

test("what is wrong with a picture is said of the input, and the worker goes on", async () => {
  const model = await pictures({ planes: { width: 4, height: 4 } });
  const { data } = picture();
  for (const [planes, code] of [
    [{ data: data.subarray(4), width: 9, height: 5 }, "invalid-input"],
    [{ data: new Uint8Array(0), width: 0, height: 0 }, "invalid-input"],
    [{ data, width: 9.5, height: 5 }, "invalid-input"],
    [{ data: new Float32Array(180), width: 9, height: 5 }, "invalid-input"],
    [{ image: picture(), crop: { x: 0, y: 0, width: 0, height: 5 } }, "invalid-input"],
    [{ image: picture(), crop: { x: NaN, y: 0, width: 1, height: 5 } }, "invalid-input"],
    [new Blob([]), "unsupported"],
  ]) {
    assert.equal((await rejection(model.run({ planes, ...others }))).code, code);
  }
  const far = await model.run({ planes: { image: picture(), crop: { x: 100, y: 100, width: 2, height: 2 } }, ...others });
  assert.ok(far.planes_out.data.every((value) => value === 0), "what lies outside is padding");
  const undeclared = await rejection(model.run({ planes: picture(), rows: picture(6, 4), gray: others.gray }));
  assert.match(undeclared.message, /"rows".*images/);
});

test("what cannot be declared is refused when the model is compiled", async () => {
  for (const [images, code, says] of [
    [{ nothing: {} }, "not-found", /"nothing".*"planes"/],
    [{ rows: { layout: "NCHW" } }, "invalid-input", /4 channels/],
    [{ planes: { layout: "HW" } }, "invalid-input", /4 dimensions/],
    [{ planes: { channels: "gray" } }, "invalid-input", /3 channels/],
    [{ planes: { mean: [1, 2] } }, "invalid-input", /mean/],
    [{ planes: { scale: 0 } }, "invalid-input", /scale/],
    [{ planes: { resize: "crop" } }, "invalid-input", /resize/],
    [{ rows: { width: 7 } }, "invalid-input", /width is 6/],
    [{ planes: { pad: [1] } }, "invalid-input", /pad/],
  ]) {
    const error = await rejection(pictures(images));
    assert.equal(error.code, code, JSON.stringify(images));
    assert.match(error.message, says);
  }
  const counter = await rejection(compile(model("small/types.onnx"), { runtime, warmUps: 0, images: { i64: {} } }));
  assert.equal(counter.code, "unsupported");
});
