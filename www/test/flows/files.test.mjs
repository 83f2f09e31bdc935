/**
 * What nine files are, and those that are too short to say.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { bench, bytes, expected, load, near, rejection, unless } from "./support/index.mjs";

const { fileNamer } = await load("index");
const { answer, seen } = await load("files");
const { kinds } = await load("kinds");
const { predictions } = expected("magika");
const config = JSON.parse(bytes("magika/config.min.json"));
const fetched = unless("magika/model.onnx");
/** Half of the last digit that was recorded, and what an output may be off. */
const TOLERANCE = 0.5e-4 + 1e-3;

let place;
let namer;
before(async () => {
  if (fetched.skip) return;
  place = await bench();
  namer = await fileNamer(place);
});
after(() => place?.close());

test("nine files are what they are, all asked about at once", fetched, async () => {
  const answers = await Promise.all(predictions.map(([file]) => namer.name(new Blob([bytes(`magika/samples/${file}`)]))));
  assert.equal(answers.length, 9);
  answers.forEach((guesses, index) => {
    const [file, label, score] = predictions[index];
    assert.equal(guesses[0].label, label, file);
    near([guesses[0].score], [score], TOLERANCE, file);
    assert.equal(guesses.length, 214);
    assert.ok(guesses.every((guess, at) => at === 0 || guess.score <= guesses[at - 1].score));
    assert.ok(guesses[0].group && guesses[0].description);
  });
});

test("noise is unknown, before what the model calls it", fetched, async () => {
  const noise = Uint8Array.from({ length: 3000 }, (_, index) => (Math.imul(index + 1, 2654435761) >>> 13) & 255);
  const [answer, guess] = await namer.name(new Blob([noise]));
  assert.deepEqual([answer.label, answer.score], ["unknown", guess.score]);
});

test("what the model is not sure enough of is text, or unknown", () => {
  const text = new TextEncoder().encode("some letters");
  const binary = new Uint8Array([1, 0, 2]);
  assert.equal(answer({ label: "rust", score: 0.6 }, config, text), "rust");
  assert.equal(answer({ label: "rust", score: 0.4 }, config, text), "txt");
  assert.equal(answer({ label: "png", score: 0.4 }, config, binary), "unknown");
  assert.equal(answer({ label: "sql", score: 0.8 }, config, text), "txt", "this label has a threshold of its own");
  assert.equal(answer({ label: "randomtxt", score: 0.9 }, config, text), "txt", "and this one is another's");
});

test("a file that is too short for the model is told from its bytes", async (context) => {
  if (fetched.skip) return context.skip(fetched.skip);
  for (const [content, label] of [["", "empty"], ["  a few \n", "txt"], [new Uint8Array([0, 1, 2]), "unknown"], [new Uint8Array([0xff, 0xfe, 0x41]), "unknown"]]) {
    assert.deepEqual((await namer.name(new Blob([content]))).map((guess) => guess.label), [label]);
  }
});

test("no more of a file is read than its two ends", fetched, async () => {
  const asked = [];
  const file = { size: 2 ** 40, slice: (from, to = 2 ** 40) => (asked.push([from, to]), new Blob(["x".repeat(to - from)])) };
  await namer.name(file);
  assert.deepEqual(asked, [[0, 4096], [2 ** 40 - 4096, 2 ** 40]]);
});

test("an abort while the file is read stops it", fetched, async () => {
  const stop = new AbortController();
  const naming = rejection(namer.name(new Blob(["fn main() {}"]), { signal: stop.signal }));
  stop.abort("enough");
  const error = await naming;
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
});

test("white space at the ends is left out, and what a file has not is said to be missing", () => {
  const text = (value) => new TextEncoder().encode(value);
  const small = { beg_size: 4, end_size: 4, padding_token: 256 };
  const given = (value) => [...seen(text(value), text(value), small)].map((code) => (code === 256 ? "_" : String.fromCharCode(code))).join("");
  assert.equal(given("\t ab \n"), "ab \n\t ab");
  assert.equal(given("abcdefg"), "abcddefg");
  assert.equal(given("\nab"), "ab__" + "_\nab");
  assert.equal(given(" \n"), "________");
});

test("every label has a group and a name for people", () => {
  assert.deepEqual(config.target_labels_space.filter((label) => !kinds.has(label)), []);
  const extra = ["empty", "txt", "unknown"];
  assert.deepEqual([...kinds.keys()].filter((label) => !config.target_labels_space.includes(label) && !extra.includes(label)), []);
});
