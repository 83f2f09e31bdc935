// What breaks, and what goes on: rows T321 to T324, and item 5 of the plan for the browser.

import { equal, ok, rejects, test, turn } from "../harness/test.mjs";

const floats = (...values) => new Float32Array(values);
/** Inputs of a model that takes so many times 33 million multiply-adds. */
const slow = (t, rows) => ({ x: new t.inferry.Tensor("float32", new Float32Array(rows * 256).fill(3), [rows, 256]) });
/** Rows that no machine is through with in a few seconds. */
const FOREVER = 8192;

async function made(t, name, options) {
  const runtime = await t.inferry.createRuntime({ ...t.options, ...options });
  return { runtime, model: await t.inferry.compile(t.url(`small/${name}.onnx`), { runtime }) };
}

test("T321 a run that fails rejects alone", async (t) => {
  const { runtime, model } = await made(t, "shaped");
  const { Tensor } = t.inferry;
  const shapes = [[2, 3], [3, 3], [1, 6], [6, 1]];
  const one = (shape) => model.run([new Tensor("int64", shape)]).then(({ value }) => [...value.dims], (error) => error.code);
  const found = await Promise.all(Array.from({ length: 40 }, (_, i) => one(shapes[i % 4])));
  equal(found, found.map((_, i) => (i % 4 === 1 ? "operator" : shapes[i % 4])));
  runtime.dispose();
});

test("an index out of range names the node and the index", async (t) => {
  const { runtime, model } = await made(t, "indexed");
  const feeds = (read, write) => [read, write].map((index) => new t.inferry.Tensor("int64", [index]));
  for (const [read, write, says] of [[6n, 0n, ["table/read", "6"]], [-7n, 0n, ["table/read", "-7"]], [0n, 99n, ["table/write", "99"]]]) {
    const error = await rejects(model.run(feeds(read, write)), "operator");
    ok(says.every((part) => `${error.node} ${error.message}`.includes(part)), error.message);
  }
  const { found, changed } = await model.run(feeds(-6n, 5n));
  equal([[...found.data], [...changed.data]], [[10], [10, 11, 12, 13, 14, 1]]);
  runtime.dispose();
});

test("a run that asks for more than its model's limits fails, and the next one does not", async (t) => {
  const runtime = await t.inferry.createRuntime(t.options);
  const compile = (limits) => t.inferry.compile(t.url("small/slow.onnx"), { runtime, limits });
  const model = await compile({ memory: 1 << 16 });
  await rejects(model.run(slow(t, 256)), "out-of-memory");
  equal([...(await model.run(slow(t, 1))).most.data], [3]);
  for (const limits of [{ memory: -1 }, { trips: "many" }, { strings: NaN }]) await rejects(compile(limits), "invalid-input");
  runtime.dispose();
});

test("1000 good and bad runs: exactly the bad ones reject", async (t) => {
  const { runtime, model } = await made(t, "shaped");
  const { Tensor } = t.inferry;
  const kinds = [
    [() => model.run([new Tensor("int64", [2, 3])]), 2],
    [() => model.run([new Tensor("int64", [9, 9])]), "operator"],
    [() => model.run([floats(1)]), "invalid-input"],
    [() => model.run({ nothing: floats(1) }), "not-found"],
    [() => model.run([new Tensor("int64", [6, 1])], { signal: AbortSignal.abort() }), "cancelled"],
    [() => model.run([new Tensor("int64", [6, 1])]), 6],
  ];
  const runs = Array.from({ length: 1000 }, (_, i) => {
    const [run, end] = kinds[(i * 7 + (i >> 3)) % kinds.length];
    return run().then(({ value }) => value.dims[0], (error) => error.code).then((found) => [found, end]);
  });
  const wrong = (await Promise.all(runs)).filter(([found, end]) => found !== end);
  equal(wrong, []);
  equal([model.pending, model.queued], [0, 0]);
  runtime.dispose();
});

test("T323 a worker that is ended rejects what it ran, and is replaced", async (t) => {
  const { runtime, model } = await made(t, "slow", { workers: 1 });
  for (let round = 0; round < 3; round++) {
    const [lost, next] = [model.run(slow(t, FOREVER)), model.run(slow(t, 1))];
    while (runtime.status()[0] !== "running") await turn();
    runtime.host.terminate(0);
    await rejects(lost, "worker-lost");
    equal((await next).most.data[0], 3, "what waited goes on");
  }
  runtime.dispose();
});

test("disposing of a runtime rejects everything that is pending", async (t) => {
  const { runtime, model } = await made(t, "slow", { workers: 1 });
  const request = model.createInferRequest();
  const { x } = slow(t, FOREVER);
  request.setTensor("x", x);
  const runs = [model.run(slow(t, FOREVER)), model.run(slow(t, 1)), request.startAsync()];
  const loading = t.inferry.compile(t.url("small/shaped.onnx"), { runtime });
  runtime.dispose();
  for (const run of [...runs, loading]) await rejects(run, "disposed");
  await rejects(model.run(slow(t, 1)), "disposed");
  await rejects(t.inferry.compile(t.url("small/shaped.onnx"), { runtime }), "disposed");
  equal([runtime.workers, await runtime.memory(), runtime.status()], [0, 0, []]);
});

test("every worker that a runtime began ends with it", async (t) => {
  const { constructor: Runtime, platform } = await t.inferry.createRuntime(t.options);
  const workers = [];
  const counted = (name, make) => {
    const agent = platform.worker(name, make);
    const worker = { name, ended: false };
    workers.push(worker);
    const { terminate } = agent;
    agent.terminate = () => {
      worker.ended = true;
      terminate();
    };
    return agent;
  };
  const runtime = await Runtime.create({ ...platform, worker: counted }, { ...t.options, workers: 2, threads: 2 });
  const model = await t.inferry.compile(t.url("small/slow.onnx"), { runtime });
  await Promise.all([model.run(slow(t, 1)), model.run(slow(t, 1))]);
  ok(runtime.mode === "inline" || workers.length >= 2, `${runtime.mode}: ${workers.length} workers`);
  runtime.dispose();
  while (workers.some(({ ended }) => !ended)) await turn();
  equal(runtime.workers, 0);
});

test("a source that is no model is an error with a name", async (t) => {
  const { compile } = t.inferry;
  const missing = await rejects(compile(t.url("small/there-is-none.onnx"), t.options), "network");
  ok(missing.message.includes("there-is-none"), missing.message);
  await rejects(compile(new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), t.options), "invalid-model");
  await rejects(compile(new Uint8Array(0), t.options), "invalid-model");
  const bytes = new Uint8Array(await t.bytes("small/slow.onnx"));
  await rejects(compile(bytes.subarray(0, bytes.length / 2), t.options), "invalid-model");
  const model = await compile(bytes, t.options);
  ok(bytes.length > 0, "the bytes stay the user's");
  equal((await model.run(slow(t, 1))).most.data[0], 3);
  model.dispose();
});

test("an abort stops a compilation, and the worker goes on", async (t) => {
  const { compile } = t.inferry;
  const url = t.url("mtcnn_cascade/onet.onnx");
  await rejects(compile(url, { ...t.options, signal: AbortSignal.abort("before") }), "cancelled");
  // With open extents there is nothing to pack before the first run.
  const options = { ...t.options, cache: false, shapes: { input_3: [1, 48, 48, 3] } };
  for (const phase of ["fetch", "parse", "optimise", "pack"]) {
    const controller = new AbortController();
    const seen = [];
    const stop = (progress) => {
      seen.push(progress.phase);
      if (progress.phase === phase) controller.abort(phase);
    };
    const compiling = compile(url, { ...options, signal: controller.signal, onprogress: stop });
    equal((await rejects(compiling, "cancelled")).cause, phase);
    equal(seen.at(-1), phase, "nothing is told any more");
  }
  const model = await compile(url, { ...t.options, cache: false });
  equal(model.inputs.length, 1);
  model.dispose();
});

test("progress never goes back", async (t) => {
  const order = ["fetch", "cache", "parse", "optimise", "pack", "warm-up"];
  const seen = [];
  const options = { ...t.options, shapes: { input_3: [1, 48, 48, 3] }, onprogress: (progress) => seen.push(progress) };
  const model = await t.inferry.compile(t.url("mtcnn_cascade/onet.onnx"), options);
  seen.reduce((before, now) => {
    const phases = [before.phase, now.phase].map((phase) => order.indexOf(phase));
    ok(phases[0] >= 0 && (phases[1] > phases[0] || (phases[1] === phases[0] && now.done >= before.done)), JSON.stringify([before, now]));
    ok(now.total === undefined || now.done <= now.total, JSON.stringify(now));
    return now;
  });
  for (const phase of ["parse", "optimise", "pack"]) ok(seen.some((progress) => progress.phase === phase), `nothing is told of ${phase}`);
  model.dispose();
});

test("T324 without shared memory everything else is there", async (t) => {
  equal(typeof SharedArrayBuffer, "undefined");
  await rejects(t.inferry.createRuntime({ executor: "shared" }), "unsupported");
  const { runtime, model } = await made(t, "shaped");
  equal(runtime.mode, "isolated");
  equal((await model.run([new t.inferry.Tensor("int64", [3, 2])])).value.data[5], 15);
  runtime.dispose();
}, { modes: ["isolated"] });

test("what hangs onnxruntime-web's proxy for ever does not hang here", async (t) => {
  const { runtime, model } = await made(t, "scores");
  const image = new t.inferry.Tensor("float32", new Float32Array(3 * 224 * 224).fill(2), [1, 3, 224, 224]);
  // The same tensor again, and a signal among the options.
  for (let round = 0; round < 3; round++) {
    const { scores } = await model.run({ image }, { signal: new AbortController().signal });
    equal([...scores.data], [2, 2, 2]);
  }
  runtime.dispose();
});
