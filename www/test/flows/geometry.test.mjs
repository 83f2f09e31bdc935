/**
 * Rectangles around points, boxes from a map, straightened parts of pictures, and characters from scores.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { load, near } from "./support/index.mjs";

const { contains, grown, heightOf, projection, smallestRectangle, turned, widthOf } = await load("geometry");
const { boxes } = await load("regions");
const { straightened } = await load("crop");
const { Alphabet } = await load("alphabet");

const quad = (...places) => places.map(([x, y]) => ({ x, y }));
const flat = (points) => points.flatMap(({ x, y }) => [x, y]);

test("a level rectangle keeps its corners", () => {
  const found = smallestRectangle(quad([1, 1], [9, 1], [9, 4], [1, 4], [5, 2]));
  near(flat(found), [1, 1, 9, 1, 9, 4, 1, 4], 1e-9);
  near(flat(grown(found, 1)), [0, 0, 10, 0, 10, 5, 0, 5], 1e-9);
  assert.ok(contains(found, { x: 5, y: 2 }) && contains(found, { x: 9, y: 4 }) && !contains(found, { x: 5, y: 5 }));
  near(flat(turned(found, 1)), [9, 1, 9, 4, 1, 4, 1, 1], 1e-9);
});

test("a turned rectangle is found turned, whatever is inside of it", () => {
  for (const angle of [0.2, -0.3, 0.7]) {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    const turn = ([x, y]) => [x * cos - y * sin, x * sin + y * cos];
    const corners = [[0, 0], [20, 0], [20, 5], [0, 5]].map(turn);
    const inside = Array.from({ length: 50 }, (_, index) => turn([(index * 7) % 20, (index * 3) % 5]));
    const found = smallestRectangle(quad(...inside, ...corners));
    near(flat(found), corners.flat(), 1e-9, `${angle}`);
    near([widthOf(found), heightOf(found)], [20, 5], 1e-9);
  }
});

test("a point, a row of points, and none", () => {
  near(flat(smallestRectangle(quad([3, 4]))), [3, 4, 3, 4, 3, 4, 3, 4], 0);
  const row = smallestRectangle(quad([1, 2], [2, 2], [7, 2], [4, 2]));
  near([widthOf(row), heightOf(row), row[0].x, row[1].x], [6, 0, 1, 7], 1e-9);
  assert.equal(smallestRectangle([]), undefined);
});

test("a plane that is seen from the side keeps its corners and its straight lines", () => {
  const seen = quad([10, 20], [110, 40], [100, 70], [20, 90]);
  const place = projection(seen);
  near(flat([place(0, 0), place(1, 0), place(1, 1), place(0, 1)]), flat(seen), 1e-9);
  // The diagonals cross where the middle is seen, which is not the mean of the corners.
  const middle = place(0.5, 0.5);
  const [p, q, r, s] = seen;
  const off = (a, b) => (b.x - a.x) * (middle.y - a.y) - (b.y - a.y) * (middle.x - a.x);
  near([off(p, r), off(q, s)], [0, 0], 1e-6);
  assert.ok(Math.abs(middle.x - (p.x + q.x + r.x + s.x) / 4) > 0.5);
});

test("a part that is seen from the side is straightened", async () => {
  const [width, height] = [120, 100];
  const seen = quad([10, 20], [110, 35], [95, 90], [20, 80]);
  // Each pixel of the picture shows how far to the right of the plane it is: from the inverse of the projection, by search.
  const place = projection(seen);
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let [u, v] = [0.5, 0.5];
      for (let step = 0; step < 30; step++) {
        const [at, right, down] = [place(u, v), place(u + 1e-4, v), place(u, v + 1e-4)];
        const [a, b, c, d] = [right.x - at.x, down.x - at.x, right.y - at.y, down.y - at.y].map((value) => value / 1e-4);
        const [ex, ey, det] = [x + 0.5 - at.x, y + 0.5 - at.y, a * d - b * c];
        u = Math.min(2, Math.max(-1, u + (ex * d - ey * b) / det));
        v = Math.min(2, Math.max(-1, v + (ey * a - ex * c) / det));
      }
      data.set([50 + 150 * u, 50 + 150 * v, 0, 255], (y * width + x) * 4);
    }
  }
  const { data: flatData, width: w } = await straightened({ data, width, height }, seen, { width: 40, height: 30, padded: 50 });
  assert.equal(w, 50);
  for (let y = 2; y < 28; y++) {
    for (let x = 2; x < 38; x++) {
      const wanted = [50 + (150 * (x + 0.5)) / 40, 50 + (150 * (y + 0.5)) / 30];
      near(flatData.subarray((y * 50 + x) * 4, (y * 50 + x) * 4 + 2), wanted, 2, `(${x}, ${y})`);
    }
    assert.equal(flatData[(y * 50 + 40) * 4], 128);
  }
});

test("a part that is turned by half is the part from its end", async () => {
  const data = Uint8ClampedArray.from({ length: 60 * 20 * 4 }, (_, index) => (index % 4 === 3 ? 255 : (index * 7) % 251));
  const part = quad([10, 4], [50, 4], [50, 14], [10, 14]);
  const size = { width: 80, height: 24 };
  const upright = (await straightened({ data, width: 60, height: 20 }, part, size)).data;
  const upset = (await straightened({ data, width: 60, height: 20 }, turned(part, 2), size)).data;
  const pixels = Array.from({ length: 80 * 24 }, (_, index) => [...upset.subarray(index * 4, index * 4 + 4)]);
  near(pixels.reverse().flat(), upright, 1);
});

test("thin strokes of a large part are not lost in a small one", async () => {
  const [width, height] = [400, 192];
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x += 4) data.fill(0, (y * width + x) * 4, (y * width + x) * 4 + 3);
  const small = await straightened({ data, width, height }, quad([0, 0], [width, 0], [width, height], [0, height]), { width: 100, height: 48 });
  near(small.data.filter((_, index) => index % 4 === 0), new Array(100 * 48).fill(191), 3, "grey");
});

const map = (width, height, blobs) => {
  const data = new Float32Array(width * height);
  for (const [left, top, right, bottom, value] of blobs) {
    for (let y = top; y < bottom; y++) data.fill(value, y * width + left, y * width + right);
  }
  return { data, width, height };
};

test("two regions are two boxes, from top to bottom, grown by what training had shrunk them", async () => {
  const found = await boxes(map(60, 40, [[5, 25, 50, 32, 0.9], [10, 5, 40, 12, 0.9]]), { width: 120, height: 80 });
  assert.equal(found.length, 2);
  // 29 × 6 between the centres of pixels, in a picture of twice the size.
  const margin = (29 * 6 * 1.4) / 70;
  const [left, top, right, bottom] = [10.5 - margin, 5.5 - margin, 39.5 + margin, 11.5 + margin].map((place) => place * 2);
  near(flat(found[0]), [left, top, right, top, right, bottom, left, bottom], 1e-6);
});

test("boxes on one line go from left to right", async () => {
  const found = await boxes(map(100, 30, [[60, 10, 90, 18, 0.9], [5, 11, 40, 19, 0.9]]), { width: 100, height: 30 });
  assert.ok(found[0][0].x < found[1][0].x);
});

test("regions that touch at a corner are one, and faint ones and specks are dropped", async () => {
  const size = { width: 60, height: 60 };
  assert.equal((await boxes(map(60, 60, [[5, 5, 20, 12, 0.9], [20, 12, 40, 19, 0.9]]), size)).length, 1);
  assert.equal((await boxes(map(60, 60, [[5, 5, 40, 20, 0.3]]), size)).length, 0);
  assert.equal((await boxes(map(60, 60, [[5, 5, 40, 7, 0.9]]), size)).length, 0);
});

test("repetitions and blanks are left out, and the space is the last class", async () => {
  const alphabet = new Alphabet("a\nb\n");
  assert.equal(alphabet.classes, 4);
  const best = [1, 1, 0, 1, 2, 2, 3, 0, 2];
  const scores = Float32Array.from(best.flatMap((class_) => [0, 1, 2, 3].map((index) => (index === class_ ? 0.5 : 0.1))));
  assert.deepEqual(await alphabet.read(scores, 4), { text: "aab b", confidence: 0.5 });
  assert.deepEqual(await alphabet.read(new Float32Array([1, 0, 0, 0]), 4), { text: "", confidence: 0 });
});
