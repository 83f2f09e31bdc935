// Runs, queues and callbacks: rows T312 to T317 and T320, and what abort, timeouts and policies promise.

import { equal, ok, rejects, test, turn } from "../harness/test.mjs";

const compile = (t, name, options) => t.inferry.compile(t.url(`small/${name}.onnx`), { ...t.options, ...options });
const floats = (...values) => new Float32Array(values);
/** Inputs of a model that takes so many times 33 million multiply-adds. */
const slow = (t, rows) => ({ x: new t.inferry.Tensor("float32", new Float32Array(rows * 256).fill(3), [rows, 256]) });
/** Rows that no machine is through with in a few seconds. */
const FOREVER = 8192;

test("T312 a queue is made of a model and sound settings", async (t) => {
  for (const wrong of [{ slots: 0 }, { queue: -1 }, { overflow: "sometimes" }, { slots: 1.5 }]) {
    await rejects(compile(t, "difference", wrong), "invalid-input");
  }
  (await compile(t, "difference", { slots: 2, queue: 0, overflow: "reject" })).dispose();
});

test("T313 T314 every run of many gets its own result", async (t) => {
  const model = await compile(t, "difference", { slots: 4 });
  const one = async (i) => (await model.run({ x: floats(i, i), y: floats(1, 2) })).z.data;
  for (let i = 0; i < 8; i++) equal([...(await one(i))], [i - 1, i - 2]);
  const all = await Promise.all(Array.from({ length: 64 }, (_, i) => one(i)));
  all.forEach((data, i) => equal([...data], [i - 1, i - 2]));
  equal([model.pending, model.queued], [0, 0]);
  model.dispose();
});

test("T315 T316 after its end a model, a request and a runtime refuse", async (t) => {
  const model = await compile(t, "difference");
  const request = model.createInferRequest();
  request.dispose();
  request.dispose();
  await rejects(request.startAsync(), "disposed");
  const waiting = model.run({ x: floats(1, 1), y: floats(1, 1) });
  model.dispose();
  model.dispose();
  await rejects(waiting, "disposed");
  await rejects(model.run({ x: floats(1, 1), y: floats(1, 1) }), "disposed");
  ok((() => { try { model.createInferRequest(); } catch (error) { return error.code === "disposed"; } })());
});

test("T317 what a callback throws rejects its run, and the request goes on", async (t) => {
  const model = await compile(t, "difference");
  const request = model.createInferRequest();
  request.setTensor("x", floats(5, 7));
  request.setTensor("y", floats(1, 2));
  const thrown = new Error("of the user's own");
  let calls = 0;
  request.setCallback((error) => {
    equal(error, null);
    if (calls++ === 0) throw thrown;
  });
  const error = await rejects(request.startAsync(), "callback");
  ok(error.cause === thrown, "the cause is what was thrown");
  equal(request.status, "failed");
  equal([...(await request.startAsync()).z.data], [4, 5]);
  equal([calls, request.status], [2, "done"]);
  model.dispose();
});

test("a callback is called once a run, before its promise settles, also for an error", async (t) => {
  const model = await compile(t, "shaped");
  const request = model.createInferRequest();
  const events = [];
  request.setCallback((error) => events.push(error ? error.code : "ok"));
  for (const [shape, end] of [[[2, 3], "ok"], [[4, 4], "operator"], [[6, 1], "ok"]]) {
    request.setTensor("shape", new t.inferry.Tensor("int64", shape));
    const run = request.startAsync().then(() => "ok", (error) => error.code);
    equal([await run, events.at(-1)], [end, end]);
  }
  equal(events, ["ok", "operator", "ok"]);
  const error = await rejects(model.run([new t.inferry.Tensor("int64", [3, 3])]), "operator");
  ok(`${error.node} ${error.message}`.includes("table/shaped"), `the node is named: ${error.message}`);
  model.dispose();
});

test("a callback that starts its request begins the next run, and none is lost", async (t) => {
  const model = await compile(t, "counter", { state: { total: "next" } });
  const request = model.createInferRequest();
  request.setTensor("step", floats(1));
  const [seen, ends] = [[], []];
  request.setCallback((error, request) => {
    seen.push(request.getTensor("twice").data[0]);
    if (seen.length < 5) request.startAsync().then(() => ends.push(seen.length));
  });
  await request.startAsync();
  await request.wait();
  equal(seen, [2, 4, 6, 8, 10]);
  await turn();
  equal(ends.length, 4);
  equal(request.queryState().total.data[0], 5);
  model.dispose();
});

test("a request is one run at a time, and says what it does", async (t) => {
  const model = await compile(t, "slow");
  const request = model.createInferRequest();
  equal([request.status, await request.waitFor(0)], ["idle", "never-started"]);
  const { x } = slow(t, FOREVER);
  request.setTensor("x", x);
  const run = request.startAsync();
  equal(request.status, "running");
  await rejects(request.startAsync(), "busy");
  await rejects((async () => request.setTensor("x", x))(), "busy");
  await rejects((async () => request.getTensor("most"))(), "busy");
  equal(await request.waitFor(1), "timeout");
  ok(request.cancel(), "granted");
  await rejects(run, "cancelled");
  equal([request.status, await request.waitFor(1000)], ["cancelled", "finished"]);
  ok(!request.cancel(), "nothing runs");
  request.setTensor("x", slow(t, 1).x);
  equal((await request.startAsync()).most.data[0], 3);
  model.dispose();
});

test("T043 an abort stops a run in its middle, and one in the queue", async (t) => {
  const model = await compile(t, "slow", { slots: 1 });
  const controllers = [new AbortController(), new AbortController()];
  const [first, second] = controllers.map(({ signal }) => model.run(slow(t, FOREVER), { signal }));
  equal(model.queued, 1);
  controllers[1].abort("changed my mind");
  equal((await rejects(second, "cancelled")).cause, "changed my mind");
  controllers[0].abort();
  equal((await rejects(first, "cancelled")).cause.name, "AbortError");
  await rejects(model.run(slow(t, 1), { signal: AbortSignal.abort("before") }), "cancelled");
  equal((await model.run(slow(t, 2))).most.data[0], 3);
  model.dispose();
});

test("T043 an abort of a request's run rejects it, and never hits the run that its callback began", async (t) => {
  const model = await compile(t, "slow");
  const request = model.createInferRequest();
  request.setTensor("x", slow(t, FOREVER).x);
  const stop = new AbortController();
  const first = request.startAsync({ signal: stop.signal });
  stop.abort("enough");
  equal((await rejects(first, "cancelled")).cause, "enough");

  request.setTensor("x", slow(t, 1).x);
  const late = new AbortController();
  let second;
  request.setCallback((error, request) => {
    request.setCallback(null);
    second = request.startAsync();
    late.abort();
  });
  equal((await request.startAsync({ signal: late.signal })).most.data[0], 3);
  equal((await second).most.data[0], 3);
  model.dispose();
});

test("a request whose time is up says so", async (t) => {
  const model = await compile(t, "slow");
  const request = model.createInferRequest();
  request.setTensor("x", slow(t, FOREVER).x);
  await rejects(request.startAsync({ timeout: 1 }), "timeout");
  equal(request.status, "timed-out");
  request.setTensor("x", slow(t, 1).x);
  equal((await request.startAsync({ timeout: 60_000 })).most.data[0], 3);
  equal(request.status, "done");
  model.dispose();
});

test("a timeout stops the work and frees the slot", async (t) => {
  const model = await compile(t, "slow", { slots: 1 });
  const late = model.run(slow(t, FOREVER), { timeout: 20 });
  const next = model.run(slow(t, 1));
  await rejects(late, "timeout");
  equal((await next).most.data[0], 3);
  const request = model.createInferRequest();
  await rejects(request.infer(slow(t, FOREVER), { timeout: 20 }), "timeout");
  await rejects(request.infer(slow(t, FOREVER), { signal: AbortSignal.timeout(20) }), "timeout");
  model.dispose();
});

test("each overflow policy does what it is named for", async (t) => {
  const ends = async (overflow) => {
    const model = await compile(t, "slow", { slots: 1, queue: 2, overflow });
    const controller = new AbortController();
    const block = model.run(slow(t, FOREVER), { signal: controller.signal }).catch((error) => error.code);
    const rest = [1, 2, 3, 4].map((times) => model.run(slow(t, times)).then(() => "done", (error) => error.code));
    await turn();
    controller.abort();
    const codes = await Promise.all([block, ...rest]);
    model.dispose();
    return codes;
  };
  equal(await ends("block"), ["cancelled", "done", "done", "done", "done"]);
  equal(await ends("reject"), ["cancelled", "done", "done", "busy", "busy"]);
  equal(await ends("drop-oldest"), ["cancelled", "displaced", "displaced", "done", "done"]);
  equal(await ends("latest"), ["cancelled", "displaced", "displaced", "displaced", "done"]);
});

test("higher priorities leave the queue first", async (t) => {
  const model = await compile(t, "slow", { slots: 1, workers: 1 });
  const controller = new AbortController();
  const block = model.run(slow(t, FOREVER), { signal: controller.signal }).catch(() => {});
  const order = [];
  const rest = ["low", "normal", "high", "low", "high"].map((priority, i) =>
    model.run(slow(t, 1), { priority }).then(() => order.push(`${priority} ${i}`)));
  controller.abort();
  await Promise.all([block, ...rest]);
  equal(order, ["high 2", "high 4", "normal 1", "low 0", "low 3"]);
  model.dispose();
});

test("T320 two requests run at the same time, without any headers", async (t) => {
  const runtime = await t.inferry.createRuntime({ ...t.options, workers: 2 });
  const model = await compile(t, "slow", { runtime });
  const controller = new AbortController();
  const [first, second] = [0, 1].map(() => model.run(slow(t, FOREVER), { signal: controller.signal }).catch((error) => error.code));
  // Neither ends by itself: both run when two workers say so.
  while (runtime.status().filter((status) => status === "running").length < 2) await turn();
  controller.abort();
  equal(await Promise.all([first, second]), ["cancelled", "cancelled"]);
  runtime.dispose();
}, { modes: ["isolated", "shared", "node"] });

test("a variable stays between runs, and follows only those that are done", async (t) => {
  const model = await compile(t, "counter", { state: { total: "next" } });
  equal([model.inputs.map((port) => port.name), model.outputs.map((port) => port.name), [...model.variables]], [["step"], ["twice"], ["total"]]);
  const [one, other] = [model.createInferRequest(), model.createInferRequest()];
  for (const step of [1, 2, 3]) await one.infer({ step: floats(step) });
  await other.infer({ step: floats(10) });
  equal([one.queryState().total.data[0], other.queryState().total.data[0]], [6, 10]);
  await rejects(one.startAsync({ signal: AbortSignal.abort() }), "cancelled");
  equal(one.queryState().total.data[0], 6);
  one.resetState("total");
  equal((await one.infer({ step: floats(4) })).twice.data[0], 8);
  one.setState("total", new t.inferry.Tensor("float32", [100]));
  equal((await one.infer({ step: floats(4) })).twice.data[0], 208);
  await rejects((async () => one.setState("sum", new t.inferry.Tensor("float32", [1])))(), "not-found");
  await rejects(compile(t, "counter", { state: { total: "never" } }), "not-found");
  equal((await model.run({ step: floats(4) })).twice.data[0], 8, "a run of its own begins anew");
  model.dispose();
});

test("small runs one after the other let the event loop have its turns", async (t) => {
  const model = await compile(t, "difference");
  let [turns, over] = [0, false];
  const next = () => {
    turns++;
    if (!over) turn().then(next);
  };
  turn().then(next);
  let runs = 0;
  // In microtasks alone it would never come to another turn, nor to an end.
  while (turns < 5 && runs < 100_000) {
    await model.run({ x: floats(1, 1), y: floats(1, 2) });
    runs++;
  }
  over = true;
  ok(turns >= 5, `${turns} turns in ${runs} runs`);
  await turn();
  model.dispose();
});
