/**
 * A model over a stream, on worker threads.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { all, inferry, model, noise, rejection, turn } from "./support.mjs";

const { InferError, Tensor, compile, createRuntime, each, pipeline } = inferry;

const frame = (seed) => ({ input_1: new Tensor("float32", noise(24 * 24 * 3, seed), [1, 24, 24, 3]) });
const first = ({ softmax }) => softmax.data[0];

let runtime, pnet;
before(async () => {
  runtime = await createRuntime({ workers: 2 });
  pnet = await compile(model("mtcnn_cascade/pnet.onnx"), { runtime, warmUps: 0 });
});
after(() => runtime.dispose());

test("a stream gives what single runs give, in order", async () => {
  const frames = [1, 2, 3, 4, 5].map(frame);
  const expected = [];
  for (const feeds of frames) expected.push(first(await pnet.run(feeds)));
  assert.equal(new Set(expected).size, 5, "the frames differ");
  const results = await all(pnet.stream(frames, { slots: 3 }));
  assert.deepEqual(results.map(first), expected);
  const array = await all(pnet.stream(frames.map(({ input_1 }) => [input_1])));
  assert.deepEqual(array.map(first), expected);
});

test("a bad item is an error in its place, and nobody else's", async () => {
  const items = [frame(1), { input_1: new Float32Array(7) }, frame(2), { wrong: frame(1).input_1 }];
  const results = await all(pnet.stream(items, { errors: "yield" }));
  const seen = results.map((result) => (result instanceof InferError ? result.code : typeof first(result)));
  assert.deepEqual(seen, ["number", "invalid-input", "number", "not-found"]);
  assert.equal((await rejection(all(pnet.stream(items)))).code, "invalid-input");
});

test("leaving a stream frees the workers", async () => {
  function* endless() {
    for (let seed = 0; ; seed++) yield frame(seed);
  }
  for await (const _ of pnet.stream(endless(), { slots: 4 })) break;
  assert.equal(pnet.pending, 0);
  await pnet.run(frame(1));
  await turn();
  assert.ok(runtime.status().every((status) => status === "idle"));
});

test("many slots raise no warning about listeners", async () => {
  const warnings = [];
  const listen = (warning) => warnings.push(warning.message);
  process.on("warning", listen);
  await all(pnet.stream(Array.from({ length: 40 }, (_, seed) => frame(seed)), { slots: 30 }));
  await turn();
  process.off("warning", listen);
  assert.deepEqual(warnings, []);
});

test("a disposed model refuses", async () => {
  const other = await compile(model("mtcnn_cascade/pnet.onnx"), { runtime, warmUps: 0 });
  other.dispose();
  assert.throws(() => other.stream([]), { code: "disposed" });
});

test("a model with variables goes from item to item, and a failed item leaves them alone", async () => {
  const vad = await compile(model("silero_vad/silero_vad_openvino_16k.onnx"), { runtime, warmUps: 0, state: { state: "stateN" } });
  const chunks = [1, 2, 3, 4].map((seed) => ({ input: noise(576, seed) }));
  const request = vad.createInferRequest();
  const expected = [];
  for (const chunk of chunks) expected.push((await request.infer(chunk)).output.data[0]);
  const speech = ({ output }) => output.data[0];
  assert.deepEqual((await all(vad.stream(chunks))).map(speech), expected);
  assert.notEqual(speech(await vad.run(chunks[3])), expected[3], "a single run begins anew");

  const broken = [chunks[0], { input: noise(3) }, ...chunks.slice(1)];
  const results = await all(vad.stream(broken, { errors: "yield", slots: 3 }));
  assert.equal(results[1].code, "invalid-input");
  assert.deepEqual(results.filter((result) => result !== results[1]).map(speech), expected);

  request.resetState();
  const halves = [];
  for await (const result of vad.stream(chunks.slice(0, 2), { request })) halves.push(speech(result));
  for await (const result of vad.stream(chunks.slice(2), { request })) halves.push(speech(result));
  assert.deepEqual(halves, expected, "a request keeps its variables between streams");
  assert.equal(request.status, "done", "and belongs to who made it");
});

test("a cascade: regions of what one model saw, through another, in order", async () => {
  const rnet = await compile(model("mtcnn_cascade/rnet.onnx"), { runtime, warmUps: 0 });
  const image = new Tensor("float32", noise(64 * 64 * 3), [1, 64, 64, 3]);
  const corners = [[0, 0], [8, 16], [40, 40], [3, 30], [20, 1]];
  const cut = ([y, x]) => ({ input_2: image.region([0, y, x, 0], [1, 24, 24, 3]) });
  const expected = [];
  for (const corner of corners) expected.push((await rnet.run(cut(corner))).softmax_1.data[0]);

  const cascade = pnet.pipeline(
    ({ softmax }) => (assert.equal(softmax.dims[3], 2), corners.map(cut)),
    each(rnet, { slots: 2 }),
    (results) => results.map(({ softmax_1 }) => softmax_1.data[0]),
  );
  assert.deepEqual(await cascade.run({ input_1: image }), expected);

  const stop = new AbortController();
  const run = rejection(pipeline(cascade).run({ input_1: image }, { signal: stop.signal }));
  stop.abort();
  assert.equal((await run).code, "cancelled");
  assert.equal(pnet.pending + rnet.pending, 0);
});
