/**
 * `inferry/ort`: the shapes of onnxruntime-web. One program, written against those, gives the results of the fixtures; where
 * `cargo xtask bench-web` has installed the original, or `INFERRY_ORT` is the path of a module of it, it also runs against that.
 */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { test } from "node:test";

import { fixture } from "../engine/support/models.mjs";
import { built, load, model, noise, rejection } from "./support.mjs";

const ort = await load("ort-node.js");
const pnet = model("mtcnn_cascade/pnet.onnx");

/** What a page might do: everything goes through the argument. */
async function program(ort, bytes, image) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const input = new ort.Tensor("float32", image.data, image.dims);
  const results = await session.run({ [session.inputNames[0]]: input });
  const one = await session.run({ input_1: input }, ["softmax"]);
  const place = new ort.Tensor("float32", new Float32Array(results.softmax.size), results.softmax.dims);
  const placed = await session.run({ input_1: input }, { softmax: place });
  const missing = await session.run({}).then(() => "resolved", () => "rejected");
  const wrong = await session.run({ input_1: input, other: input }).then(() => "resolved", () => "rejected");
  const unknown = await session.run({ input_1: input }, ["nothing"]).then(() => "resolved", () => "rejected");
  await session.release();
  return {
    names: [session.inputNames, session.outputNames],
    metadata: session.inputMetadata?.map(({ name, type, shape }) => [name, type, shape.map((extent) => typeof extent)]),
    dims: Object.entries(results).map(([name, { dims, type, location }]) => [name, type, [...dims], location]),
    data: Object.fromEntries(await Promise.all(Object.entries(results).map(async ([name, tensor]) => [name, await tensor.getData()]))),
    one: [Object.keys(one), one.softmax.data[5]],
    placed: [placed.softmax === place, place.data[5]],
    refused: [missing, wrong, unknown],
    kept: input.data.length,
  };
}

function near(found, expected, tolerance = 1e-4) {
  assert.equal(found.length, expected.length);
  const far = found.findIndex((value, index) => Math.abs(value - expected[index]) > tolerance);
  assert.equal(far, -1, `element ${far}: ${found[far]} and ${expected[far]}`);
}

const { inputs: [input], outputs } = fixture("mtcnn_cascade/pnet.onnx");
const image = { data: new Float32Array(input.data), dims: input.dims };

test("a program for onnxruntime-web gives the results of the fixture", async () => {
  const result = await program(ort, new Uint8Array(await readFile(pnet)), image);
  assert.deepEqual(result.names, [["input_1"], ["conv2d_4", "softmax"]]);
  assert.deepEqual(result.metadata, [["input_1", "float32", ["string", "string", "string", "number"]]]);
  ["conv2d_4", "softmax"].forEach((name, index) => near(result.data[name], new Float32Array(outputs[index].data)));
  assert.deepEqual(result.refused, ["rejected", "rejected", "rejected"]);
  assert.deepEqual(result.one, [["softmax"], result.data.softmax[5]]);
  assert.deepEqual(result.placed, [true, result.data.softmax[5]]);
  assert.equal(result.kept, image.data.length);
});

const original = process.env.INFERRY_ORT ?? built("bench-web/node_modules/onnxruntime-web/dist/ort.node.min.mjs");
// A peer of 139 MB is the benchmark's to install, and no part of the check.
const compare = existsSync(original) ? test : () => {};
compare("and the same as the original", async () => {
  const theirs = await import(pathToFileURL(original).href);
  const bytes = () => readFile(pnet).then((file) => new Uint8Array(file));
  const [found, expected] = [await program(ort, await bytes(), image), await program(theirs, await bytes(), image)];
  for (const name of ["conv2d_4", "softmax"]) near(found.data[name], expected.data[name]);
  near([found.one[1]], [expected.one[1]]);
  // Version 1.30 gives the tensor back that a result was to be put into, and does not put it there.
  const facts = ({ names, metadata, dims, one, placed, refused, kept }) => ({ names, metadata, dims, one: one[0], placed: placed[0], refused, kept });
  assert.deepEqual(facts(found), facts(expected));
});

test("a session is made of a path, a buffer, and a part of a buffer", async () => {
  const file = await readFile(pnet);
  const around = new Uint8Array(file.length + 10);
  around.set(file, 7);
  const shared = new Uint8Array(new SharedArrayBuffer(file.length));
  shared.set(file);
  const options = { inferry: { warmUps: 0 } };
  for (const args of [
    [pnet, options],
    [Uint8Array.from(file).buffer, options],
    [around.subarray(7, 7 + file.length), options],
    [around.buffer, 7, file.length, options],
    [shared.buffer, options],
  ]) {
    const session = await ort.InferenceSession.create(...args);
    assert.deepEqual(session.outputNames, ["conv2d_4", "softmax"]);
    await session.release();
  }
  assert.equal((await rejection(ort.InferenceSession.create(around.buffer, 99_999_999))).code, "out-of-range");
  assert.equal((await rejection(ort.InferenceSession.create(5))).code, "invalid-input");
});

test("runs overlap, and can be stopped one by one", async () => {
  const session = await ort.InferenceSession.create(pnet, { inferry: { warmUps: 0 } });
  const feeds = (seed) => ({ input_1: new ort.Tensor("float32", noise(48 * 48 * 3, seed), [1, 48, 48, 3]) });
  const stop = new AbortController();
  const runs = [1, 2, 3, 4].map((seed) => session.run(feeds(seed), seed === 3 ? { signal: stop.signal } : {}));
  stop.abort();
  const ends = await Promise.allSettled(runs);
  assert.deepEqual(ends.map(({ reason }) => reason?.code), [undefined, undefined, "cancelled", undefined]);
  assert.equal((await rejection(session.run(feeds(1), { terminate: true }))).code, "cancelled");
  await session.release();
  assert.equal((await rejection(session.run(feeds(1)))).code, "disposed");
});

test("open dimensions are fixed by name, and types other than numbers pass", async () => {
  const session = await ort.InferenceSession.create(model("silero_vad/silero_vad.onnx"), { inferry: { warmUps: 0 } });
  const { output, stateN } = await session.run({
    input: new ort.Tensor(noise(576), [1, 576]),
    state: new ort.Tensor("float32", new Float32Array(256), [2, 1, 128]),
    sr: new ort.Tensor("int64", [16000], []),
  });
  assert.deepEqual([output.dims, stateN.dims], [[1, 1], [2, 1, 128]]);
  await session.release();
});

test("what an option cannot do is said once", async () => {
  const said = [];
  const warn = console.warn;
  console.warn = (text) => said.push(text);
  try {
    for (let round = 0; round < 2; round++) {
      const session = await ort.InferenceSession.create(pnet, {
        executionProviders: [{ name: "webgpu" }, "wasm", "cpu"],
        preferredOutputLocation: "gpu-buffer",
        executionMode: "sequential",
        inferry: { warmUps: 0 },
      });
      await session.release();
    }
  } finally {
    console.warn = warn;
  }
  assert.equal(said.length, 2);
  assert.match(said[0], /"webgpu"/);
  assert.match(said[1], /gpu-buffer/);
  assert.equal((await rejection(ort.InferenceSession.create(pnet, { externalData: ["weights.bin"] }))).code, "unsupported");
});

test("tensors are made in every way that the original knows", () => {
  const { Tensor } = ort;
  const facts = ({ type, dims, size, data }) => [type, dims, size, data.constructor.name, [...data]];
  assert.deepEqual(facts(new Tensor("float32", [1, 2, 3, 4], [2, 2])), ["float32", [2, 2], 4, "Float32Array", [1, 2, 3, 4]]);
  assert.deepEqual(facts(new Tensor(new Int16Array([1]))), ["int16", [1], 1, "Int16Array", [1]]);
  assert.deepEqual(facts(new Tensor(new Uint8Array([1]))), ["uint8", [1], 1, "Uint8Array", [1]]);
  assert.deepEqual(facts(new Tensor(new Uint8ClampedArray([1]))), ["uint8", [1], 1, "Uint8Array", [1]]);
  assert.deepEqual(facts(new Tensor("int64", [1, 2n])), ["int64", [2], 2, "BigInt64Array", [1n, 2n]]);
  assert.deepEqual(facts(new Tensor("bool", [true, false])), ["bool", [2], 2, "Uint8Array", [1, 0]]);
  assert.deepEqual(facts(new Tensor([true])), ["bool", [1], 1, "Uint8Array", [1]]);
  assert.deepEqual(facts(new Tensor(["a", "b"], [1, 2])), ["string", [1, 2], 2, "Array", ["a", "b"]]);
  assert.deepEqual(facts(new Tensor(new Uint16Array([5]))), ["uint16", [1], 1, "Uint16Array", [5]]);
  assert.equal(new Tensor("float16", new Uint16Array([0x3c00])).data.length, 1);
  assert.equal(Tensor.fromPinnedBuffer("int32", new Int32Array(4), [2, 2]).location, "cpu-pinned");
  for (const args of [["float32", [1, 2], [3]], ["float32", new Int8Array(1)], ["int64", [1.5]], ["string", "a"], [[1, 2]], [[]], ["float32", [1], "1"], [{}]]) {
    assert.throws(() => new Tensor(...args), { name: "InferError", code: "invalid-input" }, String(args));
  }
  for (const args of [["int3", [1]], ["toString", [1]], [{ location: "texture", type: "float32", dims: [1] }]]) {
    assert.throws(() => new Tensor(...args), { code: "unsupported" }, String(args));
  }
});

test("a picture becomes a tensor as the original makes it", async () => {
  const image = { data: new Uint8ClampedArray([255, 51, 0, 255, 102, 0, 204, 255]), width: 2, height: 1 };
  const plain = await ort.Tensor.fromImage(image);
  assert.deepEqual([plain.type, plain.dims], ["float32", [1, 3, 1, 2]]);
  near(plain.data, [1, 0.4, 0.2, 0, 0, 0.8], 1e-6);
  const scaled = await ort.Tensor.fromImage(image, { tensorFormat: "BGR", norm: { mean: [1, 10, 100], bias: [-1, -2, -4] } });
  near(scaled.data, [-0.04, 2, 4.9, -0.2, 254, 101], 1e-5);
  const wide = await ort.Tensor.fromImage(image, { resizedWidth: 4, resizedHeight: 3 });
  assert.deepEqual(wide.dims, [1, 3, 3, 4]);
  assert.equal((await rejection(ort.Tensor.fromImage(image, { tensorFormat: "RGBA" }))).code, "unsupported");
  assert.equal((await rejection(ort.Tensor.fromImage({ ...image, width: 3 }))).code, "invalid-input");
});

test("a tensor is reshaped over the same elements, and gone when it is disposed", async () => {
  const tensor = new ort.Tensor("float32", [1, 2, 3, 4]);
  const square = tensor.reshape([2, 2]);
  assert.equal(square.data, tensor.data);
  assert.throws(() => tensor.reshape([3]), { code: "invalid-input" });
  const { data } = tensor;
  assert.equal(await tensor.getData(true), data);
  assert.equal(tensor.location, "none");
  assert.throws(() => tensor.data, { code: "disposed" });
  assert.equal((await rejection(tensor.getData())).code, "disposed");
  assert.equal(square.location, "cpu");
});
