/**
 * Where faces are, with six points each: Google's BlazeFace.
 *
 * The model sees a square through 896 anchors, two in each cell of a grid of 16 × 16 and six in each of 8 × 8, and says for each
 * how sure it is of a face there, and where the face lies, seen from the anchor.
 *
 * A frame of a camera goes to the worker as it is, which draws it into the square. Pixels in memory are put into the square here:
 * nothing of a large picture is skipped, and less is sent.
 */

import type { ImageSource, Model, Outputs } from "inferry";

import { type Box, best, overlap } from "./boxes.js";
import { Models, open } from "./open.js";
import { Pace } from "./pace.js";
import { type Squared, isPixels, squared } from "./resize.js";
import type { Bench, CallOptions, Face, FaceFinder, Pixels, Point } from "./types.js";

const FILE = "blazeface/back256.onnx";
const INPUT = "input:0";
/** Outputs: how sure it is, and places, of the fine grid and of the coarse one. */
const GRIDS = [
  { cells: 16, each: 2, sure: "Identity:0", places: "Identity_2:0" },
  { cells: 8, each: 6, sure: "Identity_1:0", places: "Identity_3:0" },
] as const;
/** Sides of the square. */
const SIDE = 256;
/** Numbers for an anchor: centre, size, six points. */
const NUMBERS = 16;
/** A face is at least as sure as this. */
const SURE = 0.6;
/** Faces that overlap by more are one. */
const SAME = 0.3;

/** All of the picture in the middle of the square, from -1 to 1. */
const PREPROCESS = { resize: "contain", mean: 127.5, scale: 127.5, smoothing: "medium" } as const;

/** Opens the finder. */
export async function faceFinder(bench: Bench): Promise<FaceFinder> {
  const options = { images: { [INPUT]: PREPROCESS }, slots: 1, queue: 1, overflow: "latest" } as const;
  const { opened } = await open(bench, [{ name: FILE, options }], []);
  const [{ model }] = opened as [(typeof opened)[number]];
  const models = new Models(opened);
  // Pictures come to the queue in the order in which they were given, however long it takes to make them smaller.
  let last: Promise<unknown> = Promise.resolve();
  const square = (picture: Pixels, signal?: AbortSignal): Promise<Squared> => {
    const mine = last.then(() => squared(picture, SIDE, new Pace(signal)));
    last = mine.catch(() => undefined);
    return mine;
  };
  return {
    models: opened,
    find: (picture, options) => find(model, square, picture, options),
    dispose: () => models.dispose(),
  };
}

async function find(
  model: Model,
  square: (picture: Pixels, signal?: AbortSignal) => Promise<Squared>,
  picture: Pixels | ImageBitmap | VideoFrame,
  { signal, priority }: CallOptions = {},
): Promise<Face[]> {
  if (!isPixels(picture)) {
    const place = placed(picture);
    return faces(await model.run({ [INPUT]: picture as ImageSource }, { signal, priority }), place);
  }
  const { pixels, scale, left, top } = await square(picture, signal);
  // The square is ours, and can be moved to the worker.
  const outputs = await model.run({ [INPUT]: pixels }, { signal, priority, transfer: true });
  return faces(outputs, (x, y) => ({ x: x * scale - left, y: y * scale - top }));
}

/** From the square to a picture that the worker puts into it: into the middle, and whole pixels of the square wide and high. */
function placed(picture: ImageBitmap | VideoFrame): (x: number, y: number) => Point {
  const [width, height] = "displayWidth" in picture ? [picture.displayWidth, picture.displayHeight] : [picture.width, picture.height];
  const scale = Math.min(SIDE / width, SIDE / height);
  const [across, down] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const [left, top] = [Math.floor((SIDE - across) / 2), Math.floor((SIDE - down) / 2)];
  return (x, y) => ({ x: ((x - left) * width) / across, y: ((y - top) * height) / down });
}

/** The faces, with places of the square made into those of the picture. */
function faces(outputs: Outputs, place: (x: number, y: number) => Point): Face[] {
  const found: { face: Face; box: Box }[] = [];
  for (const { cells, each, sure, places } of GRIDS) {
    const [logits, numbers] = [outputs[sure]!.data as Float32Array, outputs[places]!.data as Float32Array];
    const centre = (cell: number): number => ((cell + 0.5) * SIDE) / cells;
    logits.forEach((logit, anchor) => {
      const score = 1 / (1 + Math.exp(-logit));
      if (!(score > SURE)) return;
      const cell = Math.floor(anchor / each);
      const [x, y] = [centre(cell % cells), centre(Math.floor(cell / cells))];
      found.push(decoded(numbers.subarray(anchor * NUMBERS, (anchor + 1) * NUMBERS), x, y, score, place));
    });
  }
  return best(found, ({ face }) => face.score, (a, b) => overlap(a.box, b.box) > SAME).map(({ face }) => face);
}

/** What the model says of the anchor at (x, y). */
function decoded(numbers: Float32Array, x: number, y: number, score: number, place: (x: number, y: number) => Point): { face: Face; box: Box } {
  const [dx, dy, w, h] = numbers as unknown as [number, number, number, number];
  const { x: left, y: top } = place(x + dx - w / 2, y + dy - h / 2);
  const { x: right, y: bottom } = place(x + dx + w / 2, y + dy + h / 2);
  const points = Array.from({ length: (NUMBERS - 4) / 2 }, (_, point) => place(x + numbers[4 + 2 * point]!, y + numbers[5 + 2 * point]!));
  return { face: { box: { x: left, y: top, width: right - left, height: bottom - top }, points, score }, box: { left, top, right, bottom } };
}
