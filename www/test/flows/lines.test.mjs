/**
 * Straight lines in a drawing, and pictures of another size.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { bench, expected, load, near, picture, rejection, unless } from "./support/index.mjs";

const { lineFinder } = await load("index");
const { Pace } = await load("pace");
const { resized, squared } = await load("resize");
const recorded = expected("mlsd_tiny").house;
const house = picture("mlsd_tiny/house.png");
const fetched = unless("mlsd/tiny_512.onnx");
/** Half of the last digit that was recorded, and two pixels for each of what an output may be off. */
const PLACES = 0.05 + 2 * (6e-3 + 1e-3 * 95);

let place;
let finder;
before(async () => {
  if (fetched.skip) return;
  place = await bench();
  finder = await lineFinder(place);
});
after(() => place?.close());

const ends = ({ a, b }) => [a.x, a.y, b.x, b.y];

test("the lines of the house are found, the surest first", fetched, async () => {
  const found = await finder.find(house);
  assert.equal(found.length, recorded.n_segments);
  near(found.map(({ score }) => score), recorded.top.map(([score]) => score), 6e-3, "score");
  found.forEach((line, index) => near(ends(line), recorded.top[index][1], PLACES, `line ${index}`));
});

test("places are those of the picture, whatever its size", fetched, async () => {
  const half = await resized(house, 256, 256);
  const wide = await resized(house, 1024, 512);
  const surest = recorded.top.slice(0, 8).map(([, places]) => places);
  for (const [small, across, down] of [[half, 0.5, 0.5], [wide, 2, 1]]) {
    const found = (await finder.find(small)).map(ends);
    for (const [ax, ay, bx, by] of surest) {
      const wanted = [ax * across, ay * down, bx * across, by * down];
      assert.ok(found.some((line) => line.every((value, index) => Math.abs(value - wanted[index]) < 5)), `${wanted} in ${small.width} × ${small.height}`);
    }
  }
});

test("an abort stops a run that is under way, and the next finds everything", fetched, async () => {
  const stop = new AbortController();
  const finding = rejection(finder.find(house, { signal: stop.signal }));
  while (!place.runtime.status().includes("running")) await new Promise(setImmediate);
  stop.abort("enough");
  const error = await finding;
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
  assert.equal((await finder.find(house)).length, recorded.n_segments);
});

/** A grey picture of these rows. */
const grey = (rows) => ({
  width: rows[0].length,
  height: rows.length,
  data: Uint8ClampedArray.from(rows.flat().flatMap((value) => [value, value, value, 255])),
});
const greys = ({ data, width }) => Array.from({ length: data.length / 4 / width }, (_, y) => Array.from({ length: width }, (_, x) => data[(y * width + x) * 4]));

test("a pixel of a resized picture is a mean of those around its place", async () => {
  // 1 : 3 : 3 : 1 around the edge between two pixels; the picture ends before the outer ones.
  assert.deepEqual(greys(await resized(grey([[0, 8, 16, 40]]), 2, 1)), [[6, 25]]);
  assert.deepEqual(greys(await resized(grey([[0], [8], [16], [40]]), 1, 2)), [[6], [25]]);
  assert.deepEqual(greys(await resized(grey([[0, 80]]), 4, 1)), [[0, 20, 60, 80]]);
  const same = grey([[1, 2], [3, 4]]);
  assert.equal(await resized(same, 2, 2), same);
});

test("a picture is put into the middle of a black square", async () => {
  const { pixels, scale, left, top } = await squared(grey([[80, 80, 80, 80], [80, 80, 80, 80]]), 2);
  assert.deepEqual([scale, left, top], [2, 0, 1]);
  // Half of the picture's rows count for each, and the black ones for the rest: 3 + 1 parts of 8, the outer one is not there.
  assert.deepEqual(greys(pixels), [[46, 46], [46, 46]]);
  const [corner] = greys((await squared(grey(Array.from({ length: 8 }, () => [100])), 8)).pixels);
  assert.deepEqual(corner, [0, 0, 0, 100, 0, 0, 0, 0]);
});

test("nothing of a large picture is skipped", async () => {
  const stripes = grey(Array.from({ length: 4 }, () => Array.from({ length: 1600 }, (_, x) => (x % 2) * 200)));
  const small = greys(await resized(stripes, 100, 1));
  near(small[0], new Array(100).fill(100), 2, "grey");
});

test("large pictures give way to others, and an abort in between stops them", async () => {
  const large = { width: 3000, height: 2000, data: new Uint8ClampedArray(3000 * 2000 * 4) };
  const stop = new AbortController();
  const resizing = rejection(resized(large, 512, 512, new Pace(stop.signal)));
  setImmediate(() => stop.abort("enough"));
  const error = await resizing;
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
});

test("what is not as large as it says is refused", async () => {
  const error = await rejection(resized({ width: 10, height: 10, data: new Uint8ClampedArray(12) }, 5, 5));
  assert.equal(error.code, "invalid-input");
});
