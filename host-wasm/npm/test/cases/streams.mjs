// Streams and cascades in every mode; their order, back-pressure and ends are looked at closely in `test/unit`.

import { equal, ok, rejects, test } from "../harness/test.mjs";

const compile = (t, name, options) => t.inferry.compile(t.url(`small/${name}.onnx`), { ...t.options, ...options });
const pair = (x) => ({ x: new Float32Array([x]), y: new Float32Array([1]) });
const last = ({ difference }) => difference.data[0];

test("a stream gives results in the order of its source, and errors in their place", async (t) => {
  const model = await compile(t, "both");
  const items = [1, 2, 3, 4, 5, 6].map(pair);
  items[2] = { x: new Float32Array(1) };
  const seen = [];
  for await (const result of model.stream(items, { slots: 3, errors: "yield" })) seen.push(result.code ?? last(result));
  equal(seen, [0, 1, "invalid-input", 3, 4, 5]);
  model.dispose();
});

test("leaving a stream stops what is under way, and the next run begins at once", async (t) => {
  const model = await compile(t, "slow", { slots: 1 });
  const rows = (count) => ({ x: new t.inferry.Tensor("float32", new Float32Array(count * 256), [count, 256]) });
  function* endless() {
    yield rows(1);
    for (;;) yield rows(4000);
  }
  for await (const _ of model.stream(endless(), { slots: 2 })) break;
  equal(model.pending, 0);
  const { most } = await model.run(rows(1), { timeout: 20_000 });
  equal(most.data[0], 0);
  model.dispose();
});

test("a variable goes through a stream", async (t) => {
  const model = await compile(t, "counter", { state: { total: "next" } });
  const totals = [];
  for await (const { twice } of model.stream([1, 2, 3].map((step) => ({ step: new Float32Array([step]) })))) totals.push(twice.data[0]);
  equal(totals, [2, 6, 12]);
  model.dispose();
});

test("a cascade runs each item of a list, under one signal", async (t) => {
  const model = await compile(t, "both");
  const { each, pipeline } = t.inferry;
  const line = pipeline(model, ({ sum }) => [...sum.data].map(pair), each(model, { slots: 2 }), (results) => results.map(last));
  const feeds = { x: new Float32Array([1, 2, 3]), y: new Float32Array([10, 20, 30]) };
  equal(await line.run(feeds), [10, 21, 32]);
  const stop = new AbortController();
  const run = line.run(feeds, { signal: stop.signal });
  stop.abort("enough");
  equal((await rejects(run, "cancelled")).cause, "enough");
  const seen = [];
  for await (const result of line.stream([feeds, feeds])) seen.push(result.length);
  equal(seen, [3, 3]);
  ok(model.pending === 0);
  model.dispose();
});
