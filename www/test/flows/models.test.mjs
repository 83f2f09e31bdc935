/**
 * `models.json`, and what becomes of a flow whose files are missing, broken, or do not arrive.
 */

import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { bench, files, load, rejection, repository, unless } from "./support/index.mjs";

const { voiceDetector } = await load("index");
const FILE = "silero/vad_16k.onnx";

const opened = [];
const place = async (options) => {
  opened.push(await bench(options));
  return opened.at(-1);
};
after(() => Promise.all(opened.map((one) => one.close())));

for (const [name, { from, bytes, licences }] of Object.entries(files)) {
  test(`${name} is where models.json says, with its licence`, unless(name), () => {
    assert.equal(statSync(join(repository, from)).size, bytes);
    assert.ok(licences.length > 0);
    for (const licence of licences) assert.ok(existsSync(join(repository, licence)), licence);
  });
}

test("the progress of every file ends with all of it, and never falls within a phase", async () => {
  const told = [];
  const detector = await voiceDetector({ ...(await place()), onprogress: (progress) => told.push(progress) });
  assert.deepEqual(detector.models.map(({ name }) => name), [FILE]);
  assert.ok(told.every(({ file }) => file === FILE));
  const fetched = told.filter(({ phase }) => phase === "fetch");
  assert.deepEqual(fetched.at(-1), { file: FILE, phase: "fetch", done: files[FILE].bytes, total: files[FILE].bytes });
  for (const phase of new Set(told.map(({ phase }) => phase))) {
    const steps = told.filter((progress) => progress.phase === phase).map(({ done }) => done);
    assert.deepEqual(steps, [...steps].sort((a, b) => a - b), phase);
  }
  detector.dispose();
});

test("a broken file is an invalid model, by its name", async () => {
  const error = await rejection(voiceDetector(await place({ broken: { [FILE]: Buffer.from("this is no model, and never was") } })));
  assert.equal(error.code, "invalid-model");
  assert.match(error.message, /^silero\/vad_16k\.onnx: /);
});

test("a file that is not there says so", async () => {
  const error = await rejection(voiceDetector({ ...(await place()), base: new URL("nowhere/", (await place()).base) }));
  assert.equal(error.code, "network");
  assert.match(error.message, /^silero\/vad_16k\.onnx: .*404/);
});

test("a fetch that stalls can be aborted", async () => {
  const stop = new AbortController();
  const stalled = await place({ stalled: [FILE] });
  const error = await rejection(voiceDetector({ ...stalled, signal: stop.signal, onprogress: ({ done }) => done > 0 && stop.abort("enough") }));
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
});

test("a flow that was disposed says so", async () => {
  const detector = await voiceDetector(await place());
  detector.dispose();
  assert.equal((await rejection(detector.detect(new Float32Array(600)))).code, "disposed");
});
