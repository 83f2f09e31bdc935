/**
 * Where a model comes from when the browser or the network fails on the way: the global `fetch` is replaced.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";

import { inferry, model, rejection } from "./support.mjs";

const bytes = readFileSync(model("mtcnn_cascade/pnet.onnx"));
const address = "https://models.example/pnet.onnx";

let runtime, fetched, real;
before(async () => {
  runtime = await inferry.createRuntime({ workers: 1 });
  real = globalThis.fetch;
});
after(() => {
  globalThis.fetch = real;
  return runtime.dispose();
});

/** Answers every request with what `make` gives for its number. */
function answering(make) {
  fetched = 0;
  globalThis.fetch = async (request) => make(fetched++, request);
}

const compile = (options) => inferry.compile(address, { runtime, warmUps: 0, ...options });

test("a response that cannot become one blob is read in pieces", async () => {
  // As in Chromium on a disk that is nearly full.
  answering(() => {
    const response = new Response(bytes);
    response.blob = () => Promise.reject(new TypeError("Failed to fetch"));
    return response;
  });
  const pnet = await compile();
  assert.equal(pnet.inputs.length, 1);
  pnet.dispose();
  assert.equal(fetched, 2);
});

test("a connection that breaks twice is an error with its cause", async () => {
  answering(() => new Response(new ReadableStream({ pull: (body) => body.error(new TypeError("connection lost")) })));
  const error = await rejection(compile());
  assert.equal(error.code, "network");
  assert.match(error.message, /connection lost/);
  assert.equal(fetched, 2);
});

test("an answer of failure is not asked for again", async () => {
  answering(() => new Response("gone", { status: 410, statusText: "Gone" }));
  const error = await rejection(compile());
  assert.equal(error.code, "network");
  assert.match(error.message, /410 Gone/);
  assert.equal(fetched, 1);
});

test("a fetch that was aborted is not tried again", async () => {
  const stop = new AbortController();
  answering((_, request) => {
    const body = new ReadableStream({
      start: (body) => request.signal.addEventListener("abort", () => body.error(request.signal.reason)),
    });
    setImmediate(() => stop.abort(new Error("enough")));
    return new Response(body);
  });
  const error = await rejection(compile({ signal: stop.signal }));
  assert.equal(error.code, "cancelled");
  assert.equal(fetched, 1);
});
