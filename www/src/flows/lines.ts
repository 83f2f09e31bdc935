/**
 * Straight lines in a picture: NAVER's M-LSD, a network that sees lines by their centres.
 *
 * For each cell of a grid of 256 × 256 the model says how sure it is that a line has its centre there, and how far from it the
 * ends are. It has already left the best of neighbours alone.
 */

import { type Model, type Outputs, Tensor } from "inferry";

import { Models, open } from "./open.js";
import { Pace } from "./pace.js";
import { isPixels, resized } from "./resize.js";
import type { Bench, CallOptions, LineFinder, Pixels, Segment2 } from "./types.js";

const FILE = "mlsd/tiny_512.onnx";
const INPUT = "input_image_with_alpha:0";
/** Sides of the picture that the model sees, and of its grid. */
const SIDE = 512;
const CELLS = 256;
/** After so many numbers the thread is given to others, if it is time to. */
const PIECE = 8192;
/** A line is at least as sure as this. */
const SURE = 0.2;

/** Opens the finder. */
export async function lineFinder(bench: Bench): Promise<LineFinder> {
  const { opened } = await open(bench, [{ name: FILE }], []);
  const [{ model }] = opened as [(typeof opened)[number]];
  const models = new Models(opened);
  return {
    models: opened,
    find: (picture, options) => find(model, picture, options),
    dispose: () => models.dispose(),
  };
}

async function find(model: Model, picture: Pixels | ImageBitmap, { signal, priority }: CallOptions = {}): Promise<Segment2[]> {
  const { width, height } = picture;
  const pace = new Pace(signal);
  const pixels = isPixels(picture) ? await resized(picture, SIDE, SIDE, pace) : drawn(picture);
  const values = new Float32Array(pixels.data.length);
  for (let index = 0; index < values.length; index += 4) {
    values[index] = pixels.data[index]!;
    values[index + 1] = pixels.data[index + 1]!;
    values[index + 2] = pixels.data[index + 2]!;
    // What should be the alpha of each pixel is one for this model, not 255.
    values[index + 3] = 1;
    if (index % PIECE === 0 && pace.isLate) await pace.give();
  }
  const outputs = await model.run({ [INPUT]: new Tensor("float32", values, [1, SIDE, SIDE, 4]) }, { signal, priority, transfer: true });
  return segments(outputs, width / SIDE, height / SIDE, pace);
}

/** The lines, in a picture so many times as wide and as high as the model's. */
async function segments({ offsets, scores }: Outputs, across: number, down: number, pace: Pace): Promise<Segment2[]> {
  const [sure, ends] = [scores!.data as Float32Array, offsets!.data as Float32Array];
  const found: Segment2[] = [];
  for (let cell = 0; cell < sure.length; cell++) {
    if (cell % PIECE === 0 && pace.isLate) await pace.give();
    const score = sure[cell]!;
    if (score <= SURE) continue;
    const [x, y] = [cell % CELLS, Math.floor(cell / CELLS)];
    const step = SIDE / CELLS;
    const end = (at: number) => ({ x: (x + ends[at]!) * step * across, y: (y + ends[at + 1]!) * step * down });
    found.push({ a: end(cell * 4), b: end(cell * 4 + 2), score });
  }
  return found.sort((a, b) => b.score - a.score);
}

/** The browser draws what it keeps in a form of its own. */
function drawn(picture: ImageBitmap): Pixels {
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true, alpha: false });
  if (!context) throw new Error("there is no canvas of two dimensions");
  context.imageSmoothingQuality = "medium";
  context.drawImage(picture, 0, 0, SIDE, SIDE);
  return context.getImageData(0, 0, SIDE, SIDE);
}
