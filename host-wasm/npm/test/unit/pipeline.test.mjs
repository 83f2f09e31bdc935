/**
 * Pipelines and the order, the back-pressure and the end of streams, with functions as stages: no model is needed to see them.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { all, deferred, inferry, rejection, turn } from "./support.mjs";

const { InferError, each, pipeline } = inferry;

/** A stage whose results are given by hand, in any order. */
function manual() {
  const calls = [];
  const stage = (value, { signal }) => {
    const call = { value, signal, ...deferred() };
    calls.push(call);
    return call.promise;
  };
  return { calls, stage };
}

/** A source that counts what is taken from it. */
function counted(length) {
  const source = { taken: 0, returned: 0 };
  source[Symbol.asyncIterator] = () => ({
    next: async () => (source.taken < length ? { done: false, value: source.taken++ } : { done: true }),
    return: async () => (source.returned++, { done: true }),
  });
  return source;
}

test("each stage gets what the one before gave", async () => {
  const line = pipeline((x) => x + 1, async (x) => x * 2, (x) => `=${x}`);
  assert.equal(await line.run(4), "=10");
  assert.equal(await pipeline(line, (text) => text.length).run(4), 3);
});

test("each runs a stage for every item, in order, no more at a time than it may", async () => {
  const { calls, stage } = manual();
  const result = pipeline((n) => Array.from({ length: n }, (_, i) => i), each(stage, { slots: 2 })).run(4);
  await turn();
  assert.deepEqual(calls.map(({ value }) => value), [0, 1]);
  calls[1].resolve("b");
  await turn();
  assert.equal(calls.length, 2, "the first is not taken yet, so its place is not free");
  calls[0].resolve("a");
  await turn();
  assert.equal(calls.length, 4);
  calls[3].resolve("d");
  calls[2].resolve("c");
  assert.deepEqual(await result, ["a", "b", "c", "d"]);
});

test("each begins with what a generator has already made", async () => {
  const { calls, stage } = manual();
  const more = deferred();
  async function* items() {
    yield 1;
    await more.promise;
    yield 2;
  }
  const result = pipeline(items, each(stage)).run();
  await turn();
  assert.deepEqual(calls.map(({ value }) => value), [1]);
  more.resolve();
  await turn();
  calls.forEach((call) => call.resolve(-call.value));
  assert.deepEqual(await result, [-1, -2]);
});

test("an error names the stage, and what was thrown is its cause", async () => {
  const thrown = new TypeError("no box");
  const error = await rejection(pipeline((x) => x, function cutOut() { throw thrown; }).run(1));
  assert.ok(error instanceof InferError);
  assert.equal(error.code, "callback");
  assert.match(error.message, /stage #1 "cutOut": no box/);
  assert.equal(error.cause, thrown);
});

test("an error of the package keeps its code on the way out", async () => {
  const busy = new InferError("busy", "come back later");
  const error = await rejection(pipeline(pipeline(() => Promise.reject(busy))).run(1));
  assert.equal(error.code, "busy");
});

test("an error in one item stops the others of its list", async () => {
  const { calls, stage } = manual();
  const result = rejection(pipeline(each(stage)).run([1, 2, 3]));
  await turn();
  calls[0].reject(new Error("bad"));
  calls[1].signal.addEventListener("abort", () => calls[1].reject(calls[1].signal.reason));
  calls[2].signal.addEventListener("abort", () => calls[2].resolve("too late"));
  assert.match((await result).message, /bad/);
  assert.ok(calls[2].signal.aborted);
});

test("an abort reaches the stage under way, and is not waited for by who ignores it", async () => {
  const { calls, stage } = manual();
  const stop = new AbortController();
  const error = rejection(pipeline((x) => x, pipeline(each(stage))).run([7], { signal: stop.signal }));
  await turn();
  stop.abort("enough");
  assert.ok(calls[0].signal.aborted);
  assert.equal((await error).code, "cancelled");
});

test("an aborted signal is kept as the cause, and nothing begins", async () => {
  const { calls, stage } = manual();
  const error = await rejection(pipeline(stage).run(1, { signal: AbortSignal.abort("never") }));
  assert.deepEqual([error.code, error.cause, calls.length], ["cancelled", "never", 0]);
});

test("a timeout holds for the whole", async () => {
  const { calls, stage } = manual();
  const error = await rejection(pipeline((x) => x, stage).run(1, { timeout: 5 }));
  assert.equal(error.code, "timeout");
  assert.ok(calls[0].signal.aborted);
});

test("a pipeline is refused without stages, or with something else as one", () => {
  assert.throws(() => pipeline(), { code: "invalid-input" });
  assert.throws(() => pipeline((x) => x, 5), { code: "invalid-input", message: /stage #1/ });
});

test("results come in the order of the items, whatever order they are done in", async () => {
  const { calls, stage } = manual();
  const results = all(pipeline(stage).stream([1, 2, 3], { slots: 3 }));
  await turn();
  for (const index of [2, 0, 1]) calls[index].resolve(calls[index].value * 10);
  assert.deepEqual(await results, [10, 20, 30]);
});

test("nothing is read before it is wanted, and no more than the slots hold", async () => {
  const source = counted(100);
  const results = pipeline((x) => x).stream(source, { slots: 3 });
  await turn();
  assert.equal(source.taken, 0);
  assert.equal((await results.next()).value, 0);
  await turn();
  assert.equal(source.taken, 4);
  assert.equal((await results.next()).value, 1);
  await turn();
  assert.equal(source.taken, 5);
  await results.return();
});

test("calls of next that do not wait get one result each", async () => {
  const results = pipeline((x) => -x).stream([1, 2], { slots: 1 });
  const steps = await Promise.all([results.next(), results.next(), results.next()]);
  assert.deepEqual(steps.map(({ done, value }) => [done, value]), [[false, -1], [false, -2], [true, undefined]]);
});

test("leaving the loop stops what is under way and ends the source", async () => {
  const { calls, stage } = manual();
  const source = counted(100);
  const results = pipeline(stage).stream(source, { slots: 3 });
  const loop = (async () => {
    for await (const _ of results) break;
  })();
  await turn();
  calls[0].resolve("first");
  await loop;
  assert.ok(calls[1].signal.aborted && calls[2].signal.aborted);
  assert.equal(source.returned, 1);
  assert.equal((await results.next()).done, true);
});

test("return ends a next that waits, for the work or for the source", async () => {
  const { stage } = manual();
  const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
  for (const results of [pipeline(stage).stream([1]), pipeline(stage).stream(never)]) {
    const step = results.next();
    await turn();
    await results.return();
    assert.deepEqual(await step, { done: true, value: undefined });
  }
});

test("an error ends the stream in its place, or stands there when asked", async () => {
  const odd = (x) => {
    if (x % 2) throw new Error(`odd ${x}`);
    return x;
  };
  const source = counted(5);
  const results = pipeline(odd).stream(source);
  assert.equal((await results.next()).value, 0);
  assert.match((await rejection(results.next())).message, /odd 1/);
  assert.equal((await results.next()).done, true);
  assert.equal(source.returned, 1);
  const seen = await all(pipeline(odd).stream([0, 1, 2, 3], { errors: "yield" }));
  assert.deepEqual(seen.map((item) => (item instanceof InferError ? item.code : item)), [0, "callback", 2, "callback"]);
});

test("an error of the source comes after the results of what it gave, also where errors are yielded", async () => {
  async function* source() {
    yield 1;
    yield 2;
    throw new Error("the camera is gone");
  }
  const results = pipeline((x) => x).stream(source(), { slots: 4, errors: "yield" });
  assert.equal((await results.next()).value, 1);
  assert.equal((await results.next()).value, 2);
  assert.match((await rejection(results.next())).message, /camera/);
});

test("the signal of a stream ends it with an error, once", async () => {
  const { stage } = manual();
  const stop = new AbortController();
  const source = counted(9);
  const results = pipeline(stage).stream(source, { signal: stop.signal });
  const step = rejection(results.next());
  await turn();
  stop.abort("closed");
  const error = await step;
  assert.deepEqual([error.code, error.cause], ["cancelled", "closed"]);
  assert.equal((await results.next()).done, true);
  assert.equal(source.returned, 1);
});

test("a ReadableStream is read, and cancelled with the reason", async () => {
  let cancelled;
  const source = new ReadableStream({
    pull: (controller) => controller.enqueue(1),
    cancel: (reason) => void (cancelled = reason),
  });
  const results = pipeline((x) => x).stream(source);
  assert.equal((await results.next()).value, 1);
  await results.return();
  assert.equal(cancelled.code, "cancelled");
});

test("what cannot be iterated is refused at once", () => {
  assert.throws(() => pipeline((x) => x).stream(5), { code: "invalid-input" });
});

test("a transform takes its place between two streams", async () => {
  const doubled = ReadableStream.from([1, 2, 3]).pipeThrough(pipeline((x) => 2 * x).transform());
  assert.deepEqual(await all(doubled), [2, 4, 6]);
});

test("a transform ends both of its sides when a stage fails, or its reader leaves", async () => {
  const failing = pipeline(() => Promise.reject(new Error("bad"))).transform();
  const writer = failing.writable.getWriter();
  writer.write(1).catch(() => {});
  assert.match((await rejection(all(failing.readable))).message, /bad/);
  await rejection(writer.closed);

  const left = pipeline((x) => x).transform();
  const source = new ReadableStream({ pull: (controller) => controller.enqueue(1) });
  const piping = rejection(source.pipeTo(left.writable));
  for await (const _ of left.readable) break;
  assert.equal((await piping).code, "cancelled");
});
