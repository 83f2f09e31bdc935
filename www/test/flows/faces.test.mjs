/**
 * One face and five faces, and frames that come faster than they are looked at.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { bench, expected, load, near, picture, rejection } from "./support/index.mjs";

const { faceFinder } = await load("index");
const { best, overlap } = await load("boxes");
const recorded = expected("blazeface_back256").result;
/** What an output may be off. */
const OFF = 2e-3;

let place;
let finder;
before(async () => {
  place = await bench();
  finder = await faceFinder(place);
});
after(() => place.close());

for (const [name, count] of [["astronaut", 1], ["faces5", 5]]) {
  test(`${count} of ${count} faces of ${name} are found where they are, the surest first`, async () => {
    const image = picture(`blazeface_back256/${name}.png`);
    const found = await finder.find(image);
    assert.equal(found.length, count);
    // Half of the last digit that was recorded, and what an output may be off, in pixels of the picture.
    const places = 0.05 + (OFF * Math.max(image.width, image.height)) / 256;
    found.forEach(({ box, points, score }, index) => {
      const wanted = recorded[name].detections[index];
      near([box.x, box.y, box.x + box.width, box.y + box.height], wanted.box, places, `box ${index}`);
      near(points.flatMap(({ x, y }) => [x, y]), wanted.keypoints.flat(), places, `points ${index}`);
      near([score], [wanted.score], 0.5e-4 + OFF / 4, `score ${index}`);
    });
  });
}

test("a face is found where it is in pictures of any size and shape", async () => {
  const image = picture("blazeface_back256/faces5.png");
  const [x, y, right, bottom] = recorded.faces5.detections[1].box;
  const wanted = { left: x, top: y, right, bottom };
  for (const part of [{ x: 5, y: 64, width: 256, height: 256 }, { x: 20, y: 80, width: 230, height: 230 }, { x: 0, y: 0, width: 260, height: 480 }]) {
    const data = new Uint8ClampedArray(part.width * part.height * 4);
    for (let row = 0; row < part.height; row++) {
      const from = ((part.y + row) * image.width + part.x) * 4;
      data.set(image.data.subarray(from, from + part.width * 4), row * part.width * 4);
    }
    const [{ box }] = await finder.find({ data, width: part.width, height: part.height });
    const [left, top] = [box.x + part.x, box.y + part.y];
    const found = { left, top, right: left + box.width, bottom: top + box.height };
    assert.ok(overlap(found, wanted) > 0.75, `${JSON.stringify(part)}: ${JSON.stringify(found)}`);
  }
});

test("of frames that come faster than they are looked at, the newest is looked at", async () => {
  const image = picture("blazeface_back256/astronaut.png");
  const frame = { data: image.data, width: image.width, height: image.height };
  const ends = await Promise.allSettled(Array.from({ length: 8 }, () => finder.find(frame)));
  const codes = ends.map((end) => end.reason?.code ?? end.value.length);
  assert.equal(codes.at(-1), 1);
  assert.ok(codes.includes("displaced"), `${codes}`);
  assert.ok(codes.every((code) => code === 1 || code === "displaced"), `${codes}`);
});

test("pictures are looked at in the order in which they were given, however large they are", async () => {
  const image = picture("blazeface_back256/astronaut.png");
  const large = { data: new Uint8ClampedArray(3000 * 2000 * 4), width: 3000, height: 2000 };
  const settled = [];
  const look = (name, picture) => finder.find(picture).then(
    (faces) => settled.push([name, faces.length]),
    (error) => settled.push([name, error.code]),
  );
  await Promise.all([look("large", large), look("small", image)]);
  assert.deepEqual(settled, [["large", 0], ["small", 1]]);
});

test("an abort stops a run that is under way, and the next finds the face", async () => {
  const image = picture("blazeface_back256/astronaut.png");
  const stop = new AbortController();
  const finding = rejection(finder.find(image, { signal: stop.signal }));
  while (!place.runtime.status().includes("running")) await new Promise(setImmediate);
  stop.abort("enough");
  const error = await finding;
  assert.deepEqual([error.code, error.cause], ["cancelled", "enough"]);
  assert.equal((await finder.find(image)).length, 1);
});

test("an empty room has no faces", async () => {
  assert.deepEqual(await finder.find({ data: new Uint8ClampedArray(64 * 64 * 4).fill(90), width: 64, height: 64 }), []);
});

test("a box that says the same as a better one goes", () => {
  const square = (at, score) => ({ left: at, top: at, right: at + 2, bottom: at + 2, score });
  const boxes = [square(0.5, 0.8), square(0, 0.9), square(1, 0.7), square(8, 0.95)];
  assert.deepEqual(best(boxes, ({ score }) => score, (a, b) => overlap(a, b) > 0.3).map(({ score }) => score), [0.95, 0.9, 0.7]);
  assert.equal(overlap(square(0), square(1)), 1 / 7);
  assert.equal(overlap(square(0), square(5)), 0);
});
