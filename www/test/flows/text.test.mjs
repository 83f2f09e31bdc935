/**
 * The text in a picture: six lines, one of them on its head; and what becomes of a cascade that is stopped, or that breaks.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { bench, expected, load, near, picture, rejection } from "./support/index.mjs";

const { textReader } = await load("index");
const { resized } = await load("resize");
const page = picture("tinyocr_v6/ocr_synth.png");
const { truth, result_with_ppocr_cls: recorded } = expected("tinyocr_v6");
const { lines } = recorded.ocr_synth;
const MODELS = ["ppocr/det.onnx", "ppocr/cls.onnx", "ppocr/rec.onnx"];

const opened = [];
const place = async (options) => {
  opened.push(await bench(options));
  return opened.at(-1);
};
let shared;
let reader;
before(async () => {
  shared = await place();
  reader = await textReader(shared);
});
after(() => Promise.all(opened.map((one) => one.close())));

const texts = (lines) => lines.map(({ text }) => text);
const until = async (condition) => {
  while (!condition()) await new Promise(setImmediate);
};
const idle = (runtime) => until(() => !runtime.status().some((status) => status === "running" || status === "loading"));

test("the six lines are read exactly, from top to bottom, and the one on its head is turned", async () => {
  const [found, told] = [[], []];
  const read = await reader.read(page, {
    onbox: (corners) => found.push({ corners, before: told.length }),
    online: (line) => told.push(line),
  });
  assert.deepEqual(texts(read), truth.ocr_synth);
  assert.deepEqual(read.map(({ turned }) => turned), lines.map(({ angle }) => angle === 180));
  near(read.map(({ confidence }) => confidence), lines.map(({ score }) => score), 0.02, "confidence");
  assert.deepEqual(found.map(({ corners }) => corners), read.map(({ corners }) => corners));
  assert.ok(found.every(({ before }) => before === 0), "boxes are told before lines");
  assert.deepEqual(new Set(told), new Set(read));
  // What was recorded names pixels, whose centres are half a pixel on, and was rounded.
  read.forEach(({ corners }, index) => {
    near(corners.flatMap(({ x, y }) => [x - 0.5, y - 0.5]), lines[index].box.flat(), 2.5, `corners of line ${index}`);
  });
});

for (const [width, height] of [[540, 360], [1440, 960], [720, 400]]) {
  test(`the six lines are read in ${width} × ${height} pixels, too`, async () => {
    const read = await reader.read(await resized(page, width, height));
    assert.deepEqual(texts(read), truth.ocr_synth);
    near(read.flatMap(({ corners }) => corners.map(({ x }) => (x / width) * 720)), lines.flatMap(({ box }) => box.map(([x]) => x + 0.5)), 5, "x");
    near(read.flatMap(({ corners }) => corners.map(({ y }) => (y / height) * 480)), lines.flatMap(({ box }) => box.map(([, y]) => y + 0.5)), 5, "y");
  });
}

/** The picture turned by a quarter, to the right or to the left. */
function quarter({ data, width, height }, right) {
  const from = new Uint32Array(data.buffer, data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) to[right ? x * height + height - 1 - y : (width - 1 - x) * height + y] = from[y * width + x];
  }
  return { data: new Uint8ClampedArray(to.buffer), width: height, height: width };
}

for (const [how, turn] of Object.entries({
  "from top to bottom": (page) => quarter(page, true),
  "from bottom to top": (page) => quarter(page, false),
  "of a picture on its head": (page) => quarter(quarter(page, true), true),
})) {
  test(`lines ${how} are read`, async () => {
    const read = await reader.read(turn(page));
    assert.deepEqual(texts(read).sort(), [...truth.ocr_synth].sort());
  });
}

test("lines are read at the same time on two workers", async () => {
  const { runtime } = shared;
  runtime.trace.start();
  await reader.read(page);
  const runs = runtime.trace.runs().filter(({ model }) => model?.endsWith("rec.onnx"));
  runtime.trace.stop();
  runtime.trace.clear();
  assert.equal(runs.length, 6);
  assert.equal(new Set(runs.map(({ worker }) => worker)).size, 2);
  const together = runs.some((a) => runs.some((b) => a.worker !== b.worker && a.posted < b.answered && b.posted < a.answered));
  assert.ok(together, JSON.stringify(runs));
});

test("two pictures are read at the same time, and get each its own lines", async () => {
  const upper = { data: page.data.slice(0, 720 * 150 * 4), width: 720, height: 150 };
  const lower = { data: page.data.slice(720 * 150 * 4), width: 720, height: 330 };
  const [a, b] = await Promise.all([reader.read(upper), reader.read(lower, { priority: "high" })]);
  assert.deepEqual(texts(a), truth.ocr_synth.slice(0, 2));
  assert.deepEqual(texts(b), truth.ocr_synth.slice(2));
});

test("the caller's picture is left as it is", async () => {
  // Of a size that the detector takes as it is: nothing of it may be moved to a worker.
  const own = await resized(page, 704, 480);
  const copy = own.data.slice();
  await reader.read(own);
  assert.deepEqual(own.data, copy);
});

/** Where a cascade is stopped: as it says, or by a callback. */
const STOPS = {
  "while the detector runs": async (stop) => {
    await until(() => shared.runtime.status().includes("running"));
    stop();
  },
  "between the boxes and the first line": "onbox",
  "when the first line has been read": "online",
};
for (const [when, how] of Object.entries(STOPS)) {
  test(`an abort ${when} stops everything, and the next picture is read exactly`, async () => {
    const controller = new AbortController();
    const stop = () => controller.abort("enough");
    const told = [];
    const on = (which) => () => {
      told.push(which);
      if (which === how) stop();
    };
    const reading = rejection(reader.read(page, { signal: controller.signal, onbox: on("onbox"), online: on("online") }));
    if (typeof how === "function") await how(stop);
    const error = await reading;
    assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
    const count = told.length;
    assert.equal(told.filter((which) => which === "online").length, how === "online" ? 1 : 0);
    assert.deepEqual(reader.models.map(({ model }) => [model.pending, model.queued]), [[0, 0], [0, 0], [0, 0]]);
    await idle(shared.runtime);
    assert.deepEqual(texts(await reader.read(page)), truth.ocr_synth);
    assert.equal(told.length, count, "nothing is told of a picture that was given up");
  });
}

test("an error of a callback is the error of the call", async () => {
  const error = await rejection(reader.read(page, { online: () => { throw new Error("no room"); } }));
  assert.equal(error.code, "callback");
  assert.match(error.message, /no room/);
});

test("an empty page has no lines", async () => {
  assert.deepEqual(await reader.read({ data: new Uint8ClampedArray(200 * 100 * 4).fill(255), width: 200, height: 100 }), []);
});

test("a picture whose bytes are missing is refused", async () => {
  const error = await rejection(reader.read({ data: new Uint8ClampedArray(7), width: 200, height: 100 }));
  assert.equal(error.code, "invalid-input");
});

for (const name of [...MODELS, "ppocr/keys.txt"]) {
  const wrong = name.endsWith(".txt") ? "is not there" : "is broken";
  test(`when ${name} ${wrong}, the error says so, and what was opened is let go`, async () => {
    const bytes = name.endsWith(".txt") ? undefined : Buffer.alloc(5000, 7);
    const { runtime, base } = await place({ broken: { [name]: bytes ?? null } });
    const error = await rejection(textReader({ runtime, base }));
    assert.equal(error.code, bytes ? "invalid-model" : "network");
    assert.ok(error.message.startsWith(`${name}: `), error.message);
    // What the package counts for itself: there is no other way to see that nothing is left.
    assert.equal(runtime.host.models.size, 0);
    await idle(runtime);
  });
}

test("the three models are told by their names", () => {
  assert.deepEqual(reader.models.map(({ name }) => name), MODELS);
});
