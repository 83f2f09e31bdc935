// Models whose runs are short move to the calling thread, and nothing but the speed tells of it.
//
// How long runs take is told by the tests themselves (`host.took`), so that none of this depends on a clock. Only `auto` moves
// models: each mode asks for it in its own way, and `inline` is on the calling thread already.

import { equal, ok, rejects, test, turn } from "../harness/test.mjs";

const MODES = { modes: ["isolated", "shared", "node"] };
const SHORT = 0.05;
const LONG = 5;

const floats = (...values) => new Float32Array(values);
const pair = (i) => ({ x: floats(i, i), y: floats(1, 2) });
/** Inputs of a model that takes so many times 33 million multiply-adds. */
const slow = (t, rows) => ({ x: new t.inferry.Tensor("float32", new Float32Array(rows * 256).fill(3), [rows, 256]) });
/** Rows that no machine is through with in a few seconds. */
const FOREVER = 8192;

/** A runtime that may compute on this thread, and in which a run takes what `told.took` says. */
async function auto(t, options) {
  const threads = t.mode === "shared" ? { threads: 2 } : {};
  const runtime = await t.inferry.createRuntime({ workers: 1, ...threads, ...options });
  equal(runtime.mode, t.mode === "shared" ? "shared" : "isolated");
  const told = { took: SHORT };
  runtime.host.took = () => told.took;
  runtime.trace.start();
  return { runtime, told, load: (name, more) => t.inferry.compile(t.url(`small/${name}.onnx`), { runtime, ...more }) };
}

/** Runs until the model is on this thread; gives in how many runs. */
async function moved(model, feeds) {
  for (let runs = 0; ; runs++) {
    if (model.onPage) return runs;
    await model.run(feeds);
    ok(runs < 100_000, "it never moves");
  }
}

const places = (runtime) => runtime.trace.runs().map(({ worker }) => worker);

test("a model of short runs moves to this thread, and back when they turn out long", async (t) => {
  const { runtime, told, load } = await auto(t);
  const model = await load("difference");
  ok(!model.onPage);
  for (let i = 0; !model.onPage; i++) equal([...(await model.run(pair(i))).z.data], [i - 1, i - 2]);
  ok(places(runtime).every((place) => place === 0), "until it is there, it runs in its worker");
  runtime.trace.clear();
  for (let i = 0; i < 8; i++) equal([...(await model.run(pair(i))).z.data], [i - 1, i - 2]);
  equal(places(runtime), Array(8).fill("page"));
  const { traceEvents } = JSON.parse(JSON.stringify(runtime.trace));
  ok(traceEvents.some(({ name, args }) => name === "thread_name" && args.name === "page"), "it has a track of its own");
  equal([runtime.workers, runtime.status().length], [1, 1], "it is no worker");
  told.took = LONG;
  while (model.onPage) await model.run(pair(1));
  runtime.trace.clear();
  equal([...(await model.run(pair(7))).z.data], [6, 5]);
  equal(places(runtime), [0]);
  runtime.dispose();
}, MODES);

test("runs that are asked for while a model moves get their own results, in order", async (t) => {
  const { runtime, load } = await auto(t, { workers: 2 });
  const model = await load("difference", { slots: 3 });
  const order = [];
  let at = 0;
  while (!model.onPage) {
    await Promise.all(Array.from({ length: 40 }, async (_, k) => {
      const i = at + k;
      equal([...(await model.run(pair(i))).z.data], [i - 1, i - 2]);
    }));
    at += 40;
  }
  await Promise.all(Array.from({ length: 40 }, (_, i) => model.run(pair(i), { priority: i % 2 ? "high" : "low" }).then(({ z }) => order.push(z.data[0]))));
  equal([...order].sort((a, b) => a - b), Array.from({ length: 40 }, (_, i) => i - 1));
  equal([model.pending, model.queued], [0, 0]);
  runtime.dispose();
}, MODES);

test("who asks for workers by name, or brings one, computes nothing on this thread", async (t) => {
  const { constructor: Runtime, platform } = await t.inferry.createRuntime({ executor: "isolated" });
  const own = { ...platform, inline: () => { throw new Error("the page was asked"); } };
  const named = t.mode === "shared" ? "shared" : "isolated";
  for (const options of [{ executor: named }, { worker: () => undefined }]) {
    // Where a worker is made by hand, it is made as always here: what counts is that it was asked for.
    const runtime = await Runtime.create({ ...own, worker: (name) => platform.worker(name) }, { workers: 1, ...options });
    runtime.host.took = () => SHORT;
    const model = await t.inferry.compile(t.url("small/difference.onnx"), { runtime });
    for (let i = 0; i < 50; i++) await model.run(pair(i));
    for (let i = 0; i < 10; i++) await turn();
    ok(!model.onPage);
    runtime.dispose();
  }
}, MODES);

test("on this thread a run is still stopped, by a signal, a timeout, cancel and dispose", async (t) => {
  const { runtime, load } = await auto(t);
  const model = await load("slow");
  const request = model.createInferRequest();
  await moved(model, slow(t, 1));
  const stop = new AbortController();
  const aborted = model.run(slow(t, FOREVER), { signal: stop.signal });
  equal(runtime.trace.runs().at(-1).worker, "page");
  await turn();
  stop.abort("enough");
  equal((await rejects(aborted, "cancelled")).cause, "enough");
  equal((await model.run(slow(t, 1))).most.data[0], 3);
  await rejects(model.run(slow(t, FOREVER), { timeout: 1 }), "timeout");
  // Runs that were stopped in their middle were long, whatever is told of the others: it may have gone.
  await moved(model, slow(t, 1));
  request.setTensor("x", slow(t, FOREVER).x);
  const run = request.startAsync();
  await turn();
  ok(request.cancel());
  await rejects(run, "cancelled");
  equal(request.status, "cancelled");
  await moved(model, slow(t, 1));
  const first = model.run(slow(t, FOREVER));
  await turn();
  model.dispose();
  await rejects(first, "disposed");
  ok(!model.onPage);
  runtime.dispose();
}, MODES);

test("this thread takes the build of the engine that the workers have", async (t) => {
  const { runtime, load } = await auto(t);
  const taken = new Set();
  const { engine } = runtime.platform;
  runtime.platform.engine = (flavour) => (taken.add(flavour), engine.call(runtime.platform, flavour));
  try {
    const model = await load("difference");
    await moved(model, pair(1));
    equal([...taken], [runtime.flavour]);
    equal([...(await model.run(pair(5))).z.data], [4, 3]);
  } finally {
    runtime.platform.engine = engine;
  }
  runtime.dispose();
}, MODES);

test("who waits behind a run that turns out long goes to a worker", async (t) => {
  const { runtime, load } = await auto(t);
  const model = await load("slow", { slots: 2 });
  await moved(model, slow(t, 1));
  runtime.trace.clear();
  const stop = new AbortController();
  const long = model.run(slow(t, FOREVER), { signal: stop.signal });
  equal((await model.run(slow(t, 1))).most.data[0], 3);
  stop.abort();
  await rejects(long, "cancelled");
  equal(places(runtime), [0, "page"], "the second ended first");
  runtime.dispose();
}, MODES);

test("a callback is called once a run and before its promise settles, on this thread too", async (t) => {
  const { runtime, load } = await auto(t);
  const model = await load("shaped");
  await moved(model, [new t.inferry.Tensor("int64", [2, 3])]);
  const request = model.createInferRequest();
  const events = [];
  request.setCallback((error) => events.push(error ? error.code : "ok"));
  for (const [shape, end] of [[[2, 3], "ok"], [[4, 4], "operator"], [[6, 1], "ok"]]) {
    request.setTensor("shape", new t.inferry.Tensor("int64", shape));
    const run = request.startAsync().then(() => "ok", (error) => error.code);
    equal([await run, events.at(-1)], [end, end]);
  }
  equal(events, ["ok", "operator", "ok"]);
  runtime.dispose();
}, MODES);

test("a request keeps its state when its model moves to this thread and back", async (t) => {
  const { runtime, told, load } = await auto(t);
  const model = await load("counter", { state: { total: "next" } });
  const request = model.createInferRequest();
  let total = 0;
  const step = async () => {
    equal((await request.infer({ step: floats(1) })).twice.data[0], 2 * ++total);
    equal(request.queryState().total.data[0], total);
  };
  while (!model.onPage) await step();
  for (let i = 0; i < 5; i++) await step();
  equal(places(runtime).at(-1), "page");
  told.took = LONG;
  while (model.onPage) await step();
  for (let i = 0; i < 5; i++) await step();
  equal(places(runtime).at(-1), 0);
  runtime.dispose();
}, MODES);

test("when the engine of this thread is lost, it costs one run and the model goes back", async (t) => {
  const { runtime, load } = await auto(t);
  const [model, other] = [await load("slow"), await load("difference")];
  await moved(model, slow(t, 1));
  await moved(other, pair(1));
  const lost = model.run(slow(t, FOREVER));
  await turn();
  runtime.host.terminate("page");
  await rejects(lost, "worker-lost");
  equal([model.onPage, other.onPage], [false, false]);
  equal((await model.run(slow(t, 1))).most.data[0], 3);
  equal([...(await other.run(pair(5))).z.data], [4, 3]);
  // Who was not to blame may come back; who was may not.
  await moved(other, pair(1));
  for (let i = 0; i < 50; i++) await model.run(slow(t, 1));
  ok(!model.onPage);
  runtime.dispose();
}, MODES);

test("an engine that does not come up on this thread harms nobody", async (t) => {
  const { constructor: Runtime, platform } = await t.inferry.createRuntime({ executor: "isolated" });
  let asked = 0;
  const without = { ...platform, inline: async () => { asked++; throw new Error("there is none"); } };
  const runtime = await Runtime.create(without, { workers: 1 });
  runtime.host.took = () => SHORT;
  const model = await t.inferry.compile(t.url("small/difference.onnx"), { runtime });
  for (let i = 0; i < 50; i++) equal([...(await model.run(pair(i))).z.data], [i - 1, i - 2]);
  equal([asked, model.onPage], [1, false]);
  runtime.dispose();
}, { modes: ["isolated", "node"] });

test("a model that is disposed of leaves this thread, and the last one takes the engine's memory with it", async (t) => {
  const { constructor: Runtime, platform } = await t.inferry.createRuntime({ executor: "isolated" });
  let engines = 0;
  const inline = async () => {
    const agent = await platform.inline();
    const { terminate } = agent;
    engines += 1;
    agent.terminate = () => {
      engines -= 1;
      terminate();
    };
    return agent;
  };
  const runtime = await Runtime.create({ ...platform, inline }, { workers: 1, ...(t.mode === "shared" && { threads: 2 }) });
  runtime.host.took = () => SHORT;
  runtime.trace.start();
  const load = (name) => t.inferry.compile(t.url(`small/${name}.onnx`), { runtime });
  const [one, other] = [await load("difference"), await load("both")];
  const before = await runtime.memory();
  await moved(one, pair(1));
  await moved(other, pair(1));
  equal(engines, 1);
  ok((await runtime.memory()) > before, "it has a memory of its own");
  one.dispose();
  ok(other.onPage && !one.onPage);
  await other.run(pair(1));
  equal(runtime.trace.runs().at(-1).worker, "page");
  other.dispose();
  equal(engines, 0);
  // While it moves, too.
  const late = await load("difference");
  while (engines === 0) await late.run(pair(1));
  late.dispose();
  while (engines > 0) await turn();
  const last = await load("difference");
  await moved(last, pair(1));
  runtime.dispose();
  equal([engines, await runtime.memory()], [0, 0]);
}, MODES);

test("a run on this thread says what its nodes took, and moves the inputs that it is given", async (t) => {
  const { runtime, load } = await auto(t);
  const model = await load("both", { profiling: true });
  await moved(model, pair(1));
  const request = model.createInferRequest();
  await request.infer(pair(1));
  equal(request.getProfilingInfo().map(({ operator }) => operator).sort(), ["Add", "Sub"]);
  const [x, y] = [floats(1, 2), floats(3, 4)];
  await model.run({ x, y }, { transfer: true });
  equal([x.length, y.length], [0, 0]);
  equal(runtime.trace.runs().at(-1).worker, "page");
  runtime.dispose();
}, MODES);
