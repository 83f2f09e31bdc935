/**
 * Less noise: the transform under it, and how much better the sample becomes.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { bench, expected, load, near, rejection, sound, unless } from "./support/index.mjs";

const { denoiser } = await load("index");
const { Fourier } = await load("fourier");
const recorded = expected("dtln");
const noisy = sound("dtln/noisy_16k.wav").samples;
const clean = sound("dtln/clean_16k.wav").samples;
const fetched = unless("dtln/model_1.onnx", "dtln/model_2.onnx");

let place;
let cleaner;
before(async () => {
  if (fetched.skip) return;
  place = await bench();
  cleaner = await denoiser(place);
});
after(() => place?.close());

/** How much stronger the wanted sound is than all else, at any loudness (SI-SDR, Le Roux et al., 2019). */
function decibels(sound, wanted) {
  const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
  const scale = dot(sound, wanted) / dot(wanted, wanted);
  const error = sound.reduce((sum, value, index) => sum + (value - scale * wanted[index]) ** 2, 0);
  return 10 * Math.log10((scale * scale * dot(wanted, wanted)) / error);
}

test("speech comes out with less noise, as long as it was and in time with it", fetched, async () => {
  const told = [];
  const cleaned = await cleaner.clean(noisy, { onblock: (done, total) => told.push([done, total]) });
  assert.equal(cleaned.length, noisy.length);
  // What was recorded ends with the last whole block.
  const length = recorded.blocks * recorded.shift - recorded.latency;
  const got = [noisy, cleaned].map((sound) => decibels(sound.subarray(0, length), clean.subarray(0, length)));
  near(got, [recorded.si_sdr_noisy_db, recorded.si_sdr_denoised_db], 1e-3, "decibels");
  const total = Math.ceil((noisy.length + 384) / 128);
  assert.deepEqual(told, Array.from({ length: total }, (_, index) => [index + 1, total]));
});

test("the end of a sound that fills no block is not lost, and calls know nothing of each other", fetched, async () => {
  const length = 128 * 40 + 77;
  const [first, second, whole] = await Promise.all([0, 0, 128].map((more) => cleaner.clean(noisy.subarray(8000, 8000 + length + more))));
  assert.equal(first.length, length);
  assert.deepEqual(first, second);
  near(first.subarray(0, 128 * 36), whole.subarray(0, 128 * 36), 0, "before the end");
  assert.ok(first.subarray(-77).some((value) => Math.abs(value) > 1e-4));
  assert.equal((await cleaner.clean(new Float32Array(0))).length, 0);
});

test("an abort in the middle of the chain stops both models", fetched, async () => {
  const stop = new AbortController();
  const error = await rejection(cleaner.clean(noisy, { signal: stop.signal, onblock: (done) => done === 30 && stop.abort("enough") }));
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
  assert.equal((await cleaner.clean(noisy.subarray(0, 1000))).length, 1000);
});

test("a wave is one line of the spectrum, and comes back", () => {
  const fourier = new Fourier(16);
  const block = Float32Array.from({ length: 16 }, (_, index) => Math.cos((2 * Math.PI * 3 * index) / 16));
  const spectrum = fourier.forward(block);
  near(spectrum.re, Array.from({ length: 9 }, (_, index) => (index === 3 ? 8 : 0)), 1e-6, "real");
  near(spectrum.im, new Array(9).fill(0), 1e-6, "imaginary");
  near(fourier.backward(spectrum), block, 1e-6, "wave");
});

test("the transform is what its definition says, for every length, and comes back", () => {
  for (const length of [2, 4, 8, 64, 512]) {
    const block = Float32Array.from({ length }, (_, index) => Math.sin(index * index * 1.7) + 0.3);
    const spectrum = new Fourier(length).forward(block);
    for (const line of [0, 1, length / 2]) {
      const [re, im] = [Math.cos, Math.sin].map((wave) => block.reduce((sum, value, index) => sum + value * wave((-2 * Math.PI * line * index) / length), 0));
      near([spectrum.re[line], spectrum.im[line]], [re, im], 1e-6, `line ${line} of ${length}`);
    }
    near(new Fourier(length).backward(spectrum), block, 1e-6, `${length}`);
  }
  assert.throws(() => new Fourier(12), RangeError);
});
