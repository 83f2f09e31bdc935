/**
 * Where somebody speaks, against what was recorded, at once and as the sound comes.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { bench, expected, load, near, rejection, sound } from "./support/index.mjs";

const { voiceDetector } = await load("index");
const { stretches } = await load("segments");
const { samples } = sound("silero_vad/speech_two_segments_16k.wav");
const recorded = expected("silero_vad");
const TOLERANCE = 1e-3;

let place;
let detector;
before(async () => {
  place = await bench();
  detector = await voiceDetector(place);
});
after(() => place.close());

test("the two segments are found, with 305 probabilities that are told in order", async () => {
  const told = [];
  const { probabilities, segments } = await detector.detect(samples, { onwindow: (index, probability) => told.push([index, probability]) });
  assert.equal(probabilities.length, 305);
  near(probabilities, recorded.probs_16k, TOLERANCE, "probability");
  assert.equal(probabilities.filter((probability) => probability > 0.5).length, recorded.frames_over_half);
  assert.deepEqual(segments, recorded.segments.map(([from, to]) => ({ from, to })));
  assert.deepEqual(told, [...probabilities].map((probability, index) => [index, probability]));
});

test("sound in pieces of any length is heard as if it had come at once", async () => {
  const stream = detector.stream();
  const found = [];
  for (let at = 0, length = 1; at < 60 * 512; at += length, length = (length * 7 + 13) % 1500) {
    found.push(...(await stream.push(samples.subarray(at, Math.min(at + length, 60 * 512)))));
  }
  near(found, recorded.probs_16k.slice(0, 60), TOLERANCE, "probability");
});

test("pushes that do not wait for each other keep their order, and streams know nothing of each other", async () => {
  const streams = [detector.stream(), detector.stream()];
  const pushed = [];
  for (let window = 0; window < 50; window++) {
    for (const stream of streams) pushed.push(stream.push(samples.subarray(window * 512, (window + 1) * 512)));
  }
  const found = await Promise.all(pushed);
  near(found.filter((_, index) => index % 2 === 0).flat(), recorded.probs_16k.slice(0, 50), TOLERANCE, "first");
  near(found.filter((_, index) => index % 2 === 1).flat(), recorded.probs_16k.slice(0, 50), TOLERANCE, "second");
});

test("a stream that is reset begins anew, also with what was left over", async () => {
  const stream = detector.stream();
  await stream.push(samples.subarray(20_000, 30_100));
  const before = stream.push(samples.subarray(0, 412));
  stream.reset();
  const [first] = await stream.push(samples.subarray(0, 512));
  assert.equal((await before).length, 1, "it was pushed before the reset, and filled a window");
  near([first], recorded.probs_16k.slice(0, 1), TOLERANCE);
});

test("a caller may use the buffer again as soon as push has returned", async () => {
  const stream = detector.stream();
  const buffer = new Float32Array(512);
  const pushed = [];
  for (let window = 0; window < 3; window++) {
    buffer.set(samples.subarray(window * 512, (window + 1) * 512));
    pushed.push(stream.push(buffer));
  }
  near((await Promise.all(pushed)).flat(), recorded.probs_16k.slice(0, 3), TOLERANCE);
});

test("a stream that was disposed hears no more, and the others do", async () => {
  const [one, other] = [detector.stream(), detector.stream()];
  const pushed = rejection(one.push(samples.subarray(0, 5 * 512)));
  one.dispose();
  one.reset();
  assert.equal((await pushed).code, "disposed");
  assert.equal((await rejection(one.push(samples.subarray(0, 512)))).code, "disposed");
  near(await other.push(samples.subarray(0, 512)), recorded.probs_16k.slice(0, 1), TOLERANCE);
});

test("an abort between two windows ends the detection, and the next begins anew", async () => {
  const stop = new AbortController();
  const error = await rejection(detector.detect(samples, { signal: stop.signal, onwindow: (index) => index === 40 && stop.abort("enough") }));
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
  const { probabilities } = await detector.detect(samples.subarray(0, 5 * 512));
  near(probabilities, recorded.probs_16k.slice(0, 5), TOLERANCE);
});

test("a sound that fills no window has no speech", async () => {
  assert.deepEqual(await detector.detect(new Float32Array(511)), { probabilities: new Float32Array(0), segments: [] });
});

test("a segment bears a short pause and may reach the end", () => {
  assert.deepEqual(stretches([0.4, 0.9, 0.4, 0.1, 0.1, 0.1, 0.9, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1]), [[1, 8]]);
  assert.deepEqual(stretches([0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.4]), [[0, 1], [6, 8]]);
  assert.deepEqual(stretches([0.9, 0.1]), [[0, 1]]);
  assert.deepEqual(stretches([0.4, 0.1]), []);
});
