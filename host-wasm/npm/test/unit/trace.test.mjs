/**
 * What is traced, and that Perfetto and DevTools can read it.
 */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { inferry, model, rejection } from "./support.mjs";

const { compile, createRuntime } = inferry;

let runtime;
beforeEach(async () => (runtime = await createRuntime({ workers: 2 })));
afterEach(() => {
  runtime.trace.clear();
  runtime.dispose();
});

const both = (options) => compile(model("small/both.onnx"), { runtime, warmUps: 0, ...options });
const feeds = { x: new Float32Array(8), y: new Float32Array(8) };
const written = () => JSON.parse(JSON.stringify(runtime.trace)).traceEvents;

test("every run is recorded, with what became of it", async () => {
  const it = await both({ slots: 1 });
  await it.run(feeds);
  runtime.trace.start();
  const stop = new AbortController();
  const ends = Promise.allSettled([it.run(feeds), it.run(feeds, { signal: stop.signal }), it.run(feeds)]);
  stop.abort();
  await ends;
  const request = it.createInferRequest();
  for (const [name, feed] of Object.entries(feeds)) request.setTensor(name, feed);
  request.setCallback(() => {
    throw new Error("no");
  });
  await rejection(request.startAsync());
  runtime.trace.stop();
  await it.run(feeds);
  const runs = runtime.trace.runs();
  assert.deepEqual(runs.map(({ outcome }) => outcome).sort(), ["callback", "cancelled", "done", "done"]);
  for (const { outcome, asked, posted, began = posted, ended = began, answered, settled, computed, worker, model } of runs) {
    if (outcome === "cancelled") continue;
    assert.ok(asked <= posted && posted <= began && began <= ended && ended <= answered && answered <= settled, "times follow each other");
    assert.ok(outcome !== "done" || ended - began >= computed - 1, `${ended - began} ms between, ${computed} computed`);
    assert.ok(computed >= 0 && worker >= 0 && model.endsWith("both.onnx"));
  }
  runtime.trace.clear();
  assert.deepEqual(runtime.trace.runs(), []);
});

test("the events are a trace that Chrome's format allows", async () => {
  const it = await both({ profiling: true });
  runtime.trace.start();
  await Promise.all(Array.from({ length: 12 }, () => it.run(feeds)));
  const events = written();
  for (const { name, ph, pid, tid, ts, dur } of events) {
    assert.ok(typeof name === "string" && name !== "" && "XbeCM".includes(ph), `${name} ${ph}`);
    assert.ok([pid, tid, ts].every(Number.isFinite) && (ph !== "X" || dur >= 0), `${name} has its numbers`);
  }
  const named = new Map(events.filter(({ ph, name }) => ph === "M" && name === "thread_name").map(({ tid, args }) => [tid, args.name]));
  assert.ok(events.every(({ ph, tid }) => ph === "M" || named.has(tid)), "every thread has a name");

  // Slices of a thread lie inside of each other, or apart.
  for (const tid of named.keys()) {
    const open = [];
    const slices = events.filter((event) => event.ph === "X" && event.tid === tid).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
    for (const { ts, dur, name } of slices) {
      while (open.length > 0 && open.at(-1) <= ts) open.pop();
      assert.ok(open.length === 0 || ts + dur <= open.at(-1) + 1e-3, `${name} overlaps`);
      open.push(ts + dur);
    }
  }
  const nodes = events.filter(({ ph, args }) => ph === "X" && args.operator);
  assert.deepEqual([...new Set(nodes.map(({ args }) => args.operator))].sort(), ["Add", "Sub"]);
  assert.equal(nodes.length, 24);

  const slices = Map.groupBy?.(events, ({ id }) => id) ?? new Map(events.map(({ id }) => [id, events.filter((event) => event.id === id)]));
  slices.delete(undefined);
  assert.equal(slices.size, 12);
  for (const [id, own] of slices) {
    const balance = own.reduce((sum, { ph }) => sum + (ph === "b" ? 1 : -1), 0);
    assert.deepEqual([own.length, balance], [6, 0], `run ${id} begins and ends, waits and is delivered`);
  }
  const counts = events.filter(({ ph }) => ph === "C").map(({ args }) => args);
  assert.ok(counts.every(({ waiting, running }) => waiting >= 0 && running >= 0));
  assert.deepEqual(counts.at(-1), { waiting: 0, running: 0 });
  assert.ok(counts.some(({ running }) => running >= 1) && counts.some(({ waiting }) => waiting >= 8), "runs wait, and run");
});

test("what is under way when a trace is written begins and does not end", async () => {
  const it = await both({ slots: 1 });
  await it.run(feeds);
  runtime.trace.start();
  const runs = [it.run(feeds), it.run(feeds)];
  const events = written();
  const pending = runtime.trace.runs();
  await Promise.all(runs);
  assert.deepEqual(pending.map(({ outcome, settled }) => [outcome, settled]), [["pending", undefined], ["pending", undefined]]);
  const ids = new Set(events.filter(({ ph }) => ph === "b").map(({ id }) => id));
  assert.equal(ids.size, 2);
  assert.ok(events.every(({ ph, name }) => !(ph === "e" && name === "run")));
  assert.ok(runtime.trace.runs().every(({ outcome }) => outcome === "done"));
});

test("runs are entries of User Timing in tracks of their own, until they are forgotten", async () => {
  const it = await both();
  runtime.trace.start();
  await it.run(feeds);
  const own = () => performance.getEntriesByType("measure").filter(({ name }) => name.startsWith("inferry run"));
  const tracks = own().map(({ detail }) => [detail.devtools.dataType, detail.devtools.trackGroup, detail.devtools.track, detail.devtools.color]);
  assert.deepEqual(tracks.sort(), [
    ["track-entry", "Inferry", "requests", "primary"],
    ["track-entry", "Inferry", "worker 0", "primary"],
  ]);
  runtime.trace.clear();
  assert.deepEqual(own(), []);
});

test("who asks for the latest gets no more of those that are over, and all that are under way", async () => {
  const it = await both({ slots: 1 });
  runtime.trace.clear();
  runtime.trace.start();
  for (let run = 0; run < 3; run++) await it.run(feeds);
  const ids = (runs) => runs.map(({ run }) => run);
  const all = ids(runtime.trace.runs());
  assert.equal(all.length, 3);
  assert.deepEqual(ids(runtime.trace.runs(2)), all.slice(1));
  assert.deepEqual(ids(runtime.trace.runs(9)), all);
  assert.deepEqual(runtime.trace.runs(0), []);
  const runs = [it.run(feeds), it.run(feeds)];
  assert.deepEqual(runtime.trace.runs(1).map(({ outcome }) => outcome), ["done", "pending", "pending"]);
  await Promise.all(runs);
});

test("of many runs only the latest are entries of User Timing: a browser looks at all of them to take one back", async () => {
  const it = await both();
  runtime.trace.clear();
  runtime.trace.start();
  for (let run = 0; run < 130; run++) await it.run(feeds);
  const last = runtime.trace.runs().at(-1);
  const names = new Set(performance.getEntriesByType("measure").map(({ name }) => name).filter((name) => name.startsWith("inferry run")));
  assert.equal(names.size, 100);
  assert.ok(names.has(`inferry run ${last.run}`));
  assert.equal(runtime.trace.runs().length, 130);
});
