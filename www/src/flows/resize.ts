/**
 * Pictures of another size: each pixel of the result is a weighted mean of those around its place, by a triangle that is as wide
 * as two of its own pixels, so that nothing of a large picture is skipped. Columns first, then rows, in bytes.
 *
 * It is done here and not in the worker where a large picture becomes a small one: less is sent, and the package's own resizing
 * takes but four pixels into account. It gives way to others, because pictures may be large.
 */

import { InferError } from "inferry";

import { Pace } from "./pace.js";
import type { Pixels } from "./types.js";

/** Whether it is pixels in memory, rather than what the browser keeps. */
export function isPixels(picture: object): picture is Pixels {
  const { data } = picture as Partial<Pixels>;
  return data instanceof Uint8ClampedArray || data instanceof Uint8Array;
}

/**
 * A picture as a copy of so many pixels; the same picture, when it has them already.
 * @throws InferError `invalid-input` when its bytes are not those of its pixels; `cancelled`.
 */
export async function resized(picture: Pixels, width: number, height: number, signal?: AbortSignal): Promise<Pixels> {
  const { data } = picture;
  if (!(picture.width > 0 && picture.height > 0) || data.length !== picture.width * picture.height * 4) {
    throw new InferError("invalid-input", `a picture of ${picture.width} × ${picture.height} pixels has 4 bytes for each, not ${data.length} in all`);
  }
  if (picture.width === width && picture.height === height) return picture;
  const pace = new Pace(signal);
  const [columns, rows] = [triangles(picture.width, width), triangles(picture.height, height)];
  const narrow = new Uint8ClampedArray(width * picture.height * 4);
  for (let y = 0; y < picture.height; y++) {
    const [from, to] = [y * picture.width * 4, y * width * 4];
    for (let x = 0; x < width; x++) mean(data, from, 4, columns[x]!, narrow, to + x * 4);
    if (pace.isLate) await pace.give();
  }
  const small = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) mean(narrow, x * 4, width * 4, rows[y]!, small, (y * width + x) * 4);
    if (pace.isLate) await pace.give();
  }
  return { data: small, width, height };
}

/** The pixels that count for one of the result, from the first on, and how much; together one. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

function triangles(from: number, to: number): Taps[] {
  const scale = from / to;
  const reach = Math.max(1, scale);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(from, Math.floor(centre + reach + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, tap) => Math.max(0, 1 - Math.abs((first + tap + 0.5 - centre) / reach)));
    const sum = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** A pixel from others that lie `step` apart. */
function mean(source: Pixels["data"], from: number, step: number, { first, weights }: Taps, target: Uint8ClampedArray, at: number): void {
  let red = 0;
  let green = 0;
  let blue = 0;
  for (let tap = 0, place = from + first * step; tap < weights.length; tap++, place += step) {
    const weight = weights[tap]!;
    red += source[place]! * weight;
    green += source[place + 1]! * weight;
    blue += source[place + 2]! * weight;
  }
  // The array rounds. Nothing here looks at alpha.
  target[at] = red;
  target[at + 1] = green;
  target[at + 2] = blue;
  target[at + 3] = 255;
}
