/**
 * Instances that are broken on purpose, workers beside each other, and memory that runs out.
 */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { engineModule } from "./support/build.mjs";
import { inline, pool, sharedMemory, tensor, worker } from "./support/client.mjs";
import { modelBytes } from "./support/models.mjs";
import { addition, multiplications } from "./support/onnx.mjs";

const rows = (...values) => tensor("float32", [values.length / 3, 3], values);
const square = () => tensor("float32", [512, 512], new Float32Array(512 * 512));
const rejection = async (promise) => promise.then(() => assert.fail("it was fulfilled"), (error) => error);

const instantiate = WebAssembly.instantiate;
afterEach(() => (WebAssembly.instantiate = instantiate));

/** From now on each step of a run does what this export does. */
function steps(does) {
  WebAssembly.instantiate = async (...given) => {
    const { exports } = await instantiate(...given);
    return { exports: { ...exports, run_step: exports[does] } };
  };
}

for (const [flavour, more] of [["engine", {}], ["engine.threads", { memory: sharedMemory(), agent: 0 }]]) {
  for (const [trial, words] of [
    ["trial_panic", /a trial/],
    ["trial_overflow", /RangeError|RuntimeError|stack/],
  ]) {
    test(`${flavour}: after ${trial} the worker says so once and nothing more`, async () => {
      steps(trial);
      const engine = inline();
      await engine.open(await engineModule(flavour), more.memory ? { ...more, memory: sharedMemory() } : {});
      await engine.load(1, addition());
      const runs = [1, 2, 3].map(() => rejection(engine.start(1, [rows(1, 2, 3), rows(1, 2, 3)])));
      assert.match(await engine.broken, words);
      assert.deepEqual((await Promise.all(runs)).map(({ code }) => code), ["worker-lost", "worker-lost", "worker-lost"]);
      const heard = engine.heard.length;
      void engine.memory();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(engine.heard.length, heard);
      engine.close();
    });
  }
}

test("a module that is not the engine is broken from the beginning", async () => {
  const engine = inline();
  engine.open(new WebAssembly.Module(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]))).catch(() => {});
  assert.match(await engine.broken, /no memory/);
  engine.close();
});

test("a word in shared memory stops a run that reads no messages", async () => {
  const engine = worker();
  const stop = new Int32Array(new SharedArrayBuffer(4));
  await engine.open(await engineModule("engine"), { slice: 0, stop });
  await engine.load(1, multiplications(2000));
  const run = engine.start(1, [square()]);
  Atomics.store(stop, 0, 1);
  assert.equal((await rejection(run)).code, "cancelled");
  // The word still stands: it means runs, not loads.
  await engine.load(2, addition(), { warmUps: 2, shapes: { N: [1] } });
  Atomics.store(stop, 0, 0);
  assert.equal((await engine.start(2, [rows(1, 2, 3), rows(1, 2, 3)])).outputs.length, 1);
  await engine.close();
});

test("two workers compute at the same time", async () => {
  const module = await engineModule("engine");
  const workers = [worker(), worker()];
  await Promise.all(workers.map((each) => each.open(module)));
  await workers[0].load(1, multiplications(500));
  await workers[1].load(1, addition());
  let over = false;
  const long = workers[0].start(1, [square()]);
  long.then(() => (over = true), () => {});
  for (let round = 0; round < 5; round += 1) await workers[1].start(1, [rows(1, 2, 3), rows(1, 2, 3)]);
  assert.equal(over, false);
  workers[0].cancel(long.number);
  assert.equal((await rejection(long)).code, "cancelled");
  await Promise.all(workers.map((each) => each.close()));
});

test("over one memory a model is loaded once, and every stream runs it", async () => {
  const { streams, memory, close } = await pool(await engineModule("engine.threads"), { streams: 3, helpers: 0 });
  const loads = await Promise.all(streams.map((stream) => stream.load(1, multiplications(2))));
  assert.equal(loads.length, 3);
  // One of them was at it; the others waited for its model.
  assert.equal(streams.filter(({ heard }) => heard.some(({ kind }) => kind === "progress")).length, 1);
  const eye = tensor("float32", [512, 512], Float32Array.from({ length: 512 * 512 }, (_, at) => (at % 513 === 0 ? 2 : 0)));
  const results = await Promise.all(streams.map((stream) => stream.start(1, [structuredClone(eye)])));
  for (const { outputs } of results) {
    const y = new Float32Array(outputs[0].data);
    assert.ok(y.every((value, at) => value === (at % 513 === 0 ? 8 : 0)));
  }
  assert.equal(await streams[0].memory(), memory.buffer.byteLength);
  streams[0].unload(1);
  // A stream that has a request for it goes on until it is told.
  assert.equal((await streams[1].start(1, [structuredClone(eye)])).outputs.length, 1);
  streams[1].unload(1);
  assert.equal((await rejection(streams[1].start(1, [eye]))).code, "internal");
  await close();
});

test("memory that runs out is an error, and the worker goes on", async () => {
  // 16 MiB: enough for the module and little models.
  const memory = sharedMemory(256);
  const { streams, close } = await pool(await engineModule("engine.threads"), { helpers: 0, memory });
  const [stream] = streams;
  await stream.load(1, addition());
  const large = await rejection(stream.load(2, new ArrayBuffer(40_000_000)));
  assert.equal(large.code, "out-of-memory", large.message);
  const rows = (count) => tensor("float32", [count, 3], new Float32Array(count * 3));
  const input = await rejection(stream.start(1, [rows(2_000_000), rows(2_000_000)]));
  assert.equal(input.code, "out-of-memory", input.message);
  // The inputs fit, the output does not.
  const output = await rejection(stream.start(1, [rows(400_000), rows(400_000)]));
  assert.equal(output.code, "out-of-memory", output.message);
  assert.equal((await stream.start(1, [rows(5), rows(5)])).outputs.length, 1);
  await close();
});

test("memory can grow to 4 GiB less a page, and no further", async () => {
  const nothing = () => 0;
  const host = Object.fromEntries(["now", "stopped", "said", "panicked", "progressed", "wait", "wake"].map((name) => [name, nothing]));
  const { exports } = await instantiate(await engineModule("engine"), { host });
  const pages = () => exports.memory.buffer.byteLength / 65536;
  exports.memory.grow(65535 - pages());
  assert.equal(pages(), 65535);
  assert.throws(() => exports.memory.grow(1), RangeError);
  const threads = await engineModule("engine.threads");
  const over = async (maximum) => void (await instantiate(threads, { host, env: { memory: sharedMemory(maximum) } }));
  await over(65535);
  await assert.rejects(over(65536), WebAssembly.LinkError);
  await assert.rejects(instantiate(threads, { host, env: { memory: new WebAssembly.Memory({ initial: 64, maximum: 65535 }) } }), WebAssembly.LinkError);
});

test("an agent that overflows its stack is found out", async () => {
  const memory = sharedMemory();
  const module = await engineModule("engine.threads");
  const { streams, close } = await pool(module, { helpers: 0, memory });
  await streams[0].load(1, addition());
  // The second agent's stack is what the memory grew by when it came; its canary is at the end.
  const end = memory.buffer.byteLength;
  const engine = inline();
  await engine.open(module, { memory, agent: 1 });
  await engine.load(1, addition());
  new Int32Array(memory.buffer)[end / 4] = 0;
  engine.start(1, [rows(1, 2, 3), rows(1, 2, 3)]).catch(() => {});
  assert.match(await engine.broken, /stack/);
  engine.close();
  await close();
});

test("a large model is loaded with its weights once", { skip: modelBytes("ppocrv4/ch_PP-OCRv4_rec_infer.onnx") === undefined && "it has not been fetched" }, async () => {
  const { streams, memory, close } = await pool(await engineModule("engine.threads"), { streams: 2, helpers: 0 });
  await streams[0].load(1, modelBytes("ppocrv4/ch_PP-OCRv4_rec_infer.onnx"));
  const before = memory.buffer.byteLength;
  await streams[1].load(1, modelBytes("ppocrv4/ch_PP-OCRv4_rec_infer.onnx"));
  assert.equal(memory.buffer.byteLength, before);
  await close();
});
