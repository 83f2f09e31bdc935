// Short runs on the calling thread are computed within the call that asks for them, and nothing but the speed tells of it.
//
// Whether one was is seen by the messages to the engine: it takes none. One that the machine holds up takes the ordinary way, so
// each test asks again until a run was computed at once.

import { equal, ok, rejects, test, turn } from "../harness/test.mjs";

const MODES = { modes: ["isolated", "inline", "node"] };

const floats = (...values) => new Float32Array(values);
const pair = (i) => ({ x: floats(i, i), y: floats(1, 2) });
const rows = (t, many) => ({ x: new t.inferry.Tensor("float32", new Float32Array(many * 256).fill(3), [many, 256]) });

/** A model that is on this thread, with its runtime; `messages()` says how many runs took one so far. */
async function here(t, name, feeds, options) {
  const runtime = await t.inferry.createRuntime({ workers: 1, ...(t.mode === "inline" && t.options) });
  const { host } = runtime;
  // How long runs take is not what is looked at here.
  host.took = () => 0.05;
  let count = 0;
  const { post } = host;
  host.post = (...given) => {
    count++;
    post.apply(host, given);
  };
  runtime.trace.start();
  const model = await t.inferry.compile(t.url(`small/${name}.onnx`), { runtime, ...options });
  for (let runs = 0; !(model.onPage || t.mode === "inline"); runs++) {
    await model.run(feeds);
    ok(runs < 100_000, "it never moves");
  }
  const messages = () => count;
  /**
   * Begins runs until one is computed at once, and then does what is done `meanwhile`; gives the promise of that run, in an object.
   * After one that was not, there is what is waited for in `between`.
   */
  const begun = async (begin, meanwhile, between = () => {}) => {
    for (let tries = 0; tries < 10_000; tries++) {
      const before = count;
      const run = begin();
      run.catch(() => {});
      if (count === before) {
        meanwhile?.();
        return { run };
      }
      await run.catch(() => {});
      await between();
      await turn();
    }
    throw new Error("no run is computed at once");
  };
  return { runtime, model, messages, begun };
}

test("a short run takes no message, and settles after its call", async (t) => {
  const { runtime, model, messages, begun } = await here(t, "difference", pair(1));
  const before = messages();
  const [seen, kept] = [[], []];
  for (let i = 0; i < 200; i++) {
    await turn();
    const run = model.run(i % 2 ? pair(i) : [floats(i, i), floats(1, 2)]).then((outputs) => (seen.push(i), outputs));
    seen.push("called");
    equal(model.pending, 1);
    kept.push(await run);
    equal(seen.splice(0), ["called", i]);
  }
  ok(messages() - before < 100, `${messages() - before} of 200 runs took a message`);
  kept.forEach(({ z }, i) => equal([z.type, [...z.dims], [...z.data]], ["float32", [2], [i - 1, i - 2]], "outputs are nobody else's"));
  const { x, y } = pair(5);
  const { run } = await begun(() => model.run({ x, y }), () => x.fill(0));
  equal([...(await run).z.data], [4, 3], "inputs are copied before the call returns");
  const last = runtime.trace.runs().at(-1);
  equal([last.worker, last.outcome, last.began >= last.asked, last.ended >= last.began, last.settled >= last.ended], [t.mode === "inline" ? 0 : "page", "done", true, true, true]);
  // Many at once are computed in their order, as far as this turn goes.
  const order = [];
  await Promise.all(Array.from({ length: 1000 }, (_, i) => model.run(pair(i)).then(({ z }) => order.push(z.data[0] + 1))));
  equal([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
  equal([model.pending, model.queued], [0, 0]);
  runtime.dispose();
}, MODES);

test("what comes between the call and the end of a run still stops it", async (t) => {
  const { runtime, model, begun } = await here(t, "difference", pair(1));
  const stop = new AbortController();
  const aborted = await begun(() => model.run(pair(1), { signal: stop.signal }), () => stop.abort("enough"));
  equal((await rejects(aborted.run, "cancelled")).cause, "enough");
  equal(runtime.trace.runs().at(-1).outcome, "cancelled");
  await rejects(model.run(pair(1), { signal: stop.signal }), "cancelled");
  const other = await t.inferry.compile(t.url("small/difference.onnx"), { runtime });
  while (!other.onPage && t.mode !== "inline") await other.run(pair(1));
  const disposed = await begun(() => other.run(pair(1)), () => other.dispose());
  await rejects(disposed.run, "disposed");
  equal([...(await model.run(pair(7))).z.data], [6, 5]);
  const ended = await begun(() => model.run(pair(1)), () => runtime.dispose());
  await rejects(ended.run, "disposed");
}, MODES);

test("a request whose run is computed at once is busy until it settles, and can be cancelled", async (t) => {
  const { runtime, model, begun } = await here(t, "counter", { step: floats(1) }, { state: { total: "next" } });
  const request = model.createInferRequest();
  request.setTensor("step", floats(1));
  const total = () => request.queryState().total.data[0];
  let refused;
  const done = await begun(() => request.startAsync(), () => {
    equal(request.status, "running");
    const others = [() => request.setTensor("step", floats(2)), () => request.getTensor("twice"), total, () => request.startAsync()];
    refused = others.map((other) => rejects((async () => other())(), "busy"));
  });
  await Promise.all(refused);
  equal((await done.run).twice.data[0], request.getTensor("twice").data[0]);
  equal([request.status, await request.waitFor(1000)], ["done", "finished"]);
  const before = total();
  ok(before >= 1);
  const cancelled = await begun(() => (request.setState("total", new t.inferry.Tensor("float32", [before])), request.startAsync()), () => ok(request.cancel()));
  await request.wait();
  await rejects(cancelled.run, "cancelled");
  equal([request.status, total()], ["cancelled", before], "its state is of the runs that are done");
  ok(!request.cancel(), "nothing runs");
  const stop = new AbortController();
  const aborted = await begun(() => (request.setState("total", new t.inferry.Tensor("float32", [before])), request.startAsync({ signal: stop.signal })), () => stop.abort());
  await rejects(aborted.run, "cancelled");
  equal(total(), before);
  // With a callback, it is called before who waits goes on.
  const events = [];
  request.setCallback((error, { status }) => events.push(error ?? status));
  equal((await request.startAsync().finally(() => events.push("settled"))).twice.data[0], 2 * (before + 1));
  equal(events, ["delivering", "settled"]);
  request.setCallback(null);
  for (let i = 2; i < 20; i++) equal((await request.infer({ step: floats(1) })).twice.data[0], 2 * (before + i));
  const ended = await begun(() => request.startAsync(), () => request.dispose());
  await rejects(ended.run, "disposed");
  await rejects(request.startAsync(), "disposed");
  runtime.dispose();
}, MODES);

test("the callback of a run that is computed at once may do what any may", async (t) => {
  const { runtime, model, begun } = await here(t, "difference", pair(1));
  const request = model.createInferRequest();
  for (const [name, tensor] of Object.entries(pair(5))) request.setTensor(name, tensor);
  let events = [];
  // What is heard of a run that is computed at once, and of the one that its callback has asked for.
  const heard = async (callback, meanwhile) => {
    let second;
    const again = () => (second = request.startAsync().then(() => events.push("second"), ({ code }) => events.push(`second ${code}`)));
    const begin = () => {
      [second, events] = [undefined, []];
      request.setCallback((error) => {
        events.push(error ? error.code : "done");
        if (!second) callback(again);
      });
      const run = request.startAsync();
      run.then(() => events.push("first"), ({ code }) => events.push(`first ${code}`));
      return run;
    };
    await begun(begin, meanwhile, () => request.wait());
    await request.wait();
    await second;
    return events;
  };
  equal(await heard(() => equal(request.status, "delivering")), ["done", "first"]);
  equal(await heard(() => {}, () => request.cancel()), ["cancelled", "first cancelled"]);
  equal(request.status, "cancelled");
  equal(await heard((again) => void again()), ["done", "first", "done", "second"], "it is called for both");
  equal(request.status, "done");
  equal(await heard((again) => { again(); throw new Error("of the user's own"); }), ["done", "first callback", "second cancelled"]);
  equal(await heard(() => { throw new Error("again"); }), ["done", "first callback"]);
  equal(request.status, "failed");
  // Another callback in its place hears of the run that was begun before.
  let others = [];
  await heard((again) => {
    again();
    others = [];
    request.setCallback((error) => others.push(error));
  });
  equal(others, [null]);
  request.setTensor("x", floats(9, 9));
  request.setCallback((_, request) => request.setTensor("x", floats(3, 3)));
  equal([...(await request.startAsync()).z.data], [8, 7]);
  equal([...(await request.startAsync()).z.data], [2, 1]);
  request.setCallback((_, request) => request.dispose());
  equal([...(await request.startAsync()).z.data], [2, 1]);
  await rejects(request.startAsync(), "disposed");
  runtime.dispose();
}, MODES);

test("what is not done in a moment takes the ordinary way from its beginning", async (t) => {
  const { runtime, model, messages } = await here(t, "slow", rows(t, 1));
  for (const many of [64, 1, 32]) {
    const before = messages();
    const { most } = await model.run(rows(t, many));
    equal(new Set(most.data).size, 1);
    equal(most.data[0], 3);
    if (many > 1) equal(messages() - before, 1);
  }
  const request = model.createInferRequest();
  request.setTensor("x", rows(t, 32).x);
  equal((await request.startAsync()).most.data[0], 3);
  equal(request.status, "done");
  runtime.dispose();
  const shaped = await here(t, "shaped", [new t.inferry.Tensor("int64", [2, 3])]);
  for (let i = 0; i < 3; i++) {
    await turn();
    const error = await rejects(shaped.model.run([new t.inferry.Tensor("int64", [3, 3])]), "operator");
    ok(`${error.node} ${error.message}`.includes("table/shaped"), `the node is named: ${error.message}`);
    await turn();
    await shaped.model.run([new t.inferry.Tensor("int64", [2, 3])]);
  }
  shaped.runtime.dispose();
}, MODES);

test("what does not fit a port is refused by its name on this thread, too", async (t) => {
  const { runtime, model, begun } = await here(t, "difference", pair(1));
  const refused = async (feeds, code, word, options) => {
    await turn();
    const { message } = await rejects(model.run(feeds, options), code);
    ok(message.includes(word), message);
  };
  await refused({ x: floats(1, 1) }, "invalid-input", '"y"');
  await refused({ ...pair(1), w: floats(1) }, "not-found", '"w"');
  await refused({ ...pair(1), y: new Int32Array(2) }, "invalid-input", '"y"');
  await refused({ ...pair(1), y: new t.inferry.Tensor("float32", [1, 2, 3, 4], [2, 2]) }, "invalid-input", '"y"');
  await refused([floats(1, 1)], "invalid-input", '"y"');
  await refused([floats(1, 1), floats(1, 1), floats(1, 1)], "out-of-range", "#2");
  await refused(null, "invalid-input", "a run takes an object");
  await refused(pair(1), "not-found", '"w"', { outputs: ["w"] });
  const one = await begun(() => model.run(pair(1), { outputs: ["z"] }));
  equal(Object.keys(await one.run), ["z"]);
  runtime.dispose();
}, MODES);

test("a trap costs one run, and its model does not come back", async (t) => {
  const { instantiate } = WebAssembly;
  let traps = false;
  WebAssembly.instantiate = async (...given) => {
    const { exports } = await instantiate(...given);
    const run_step = (...rest) => {
      if (traps) throw new WebAssembly.RuntimeError("unreachable");
      return exports.run_step(...rest);
    };
    return { exports: { ...exports, run_step } };
  };
  try {
    const { runtime, model } = await here(t, "difference", pair(1));
    traps = true;
    await turn();
    const error = await rejects(model.run(pair(1)), "worker-lost");
    ok(error.message.includes("unreachable"), error.message);
    traps = false;
    for (let i = 0; i < 50; i++) equal([...(await model.run(pair(i))).z.data], [i - 1, i - 2]);
    ok(!model.onPage);
    runtime.dispose();
  } finally {
    WebAssembly.instantiate = instantiate;
  }
}, MODES);
