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
export async function resized(picture: Pixels, width: number, height: number, pace = new Pace()): Promise<Pixels> {
  check(picture);
  if (picture.width === width && picture.height === height) return picture;
  return sampled(picture, triangles(picture.width, width), triangles(picture.height, height), pace);
}

/** A picture in the middle of a black square, and where it was put. */
export interface Squared {
  readonly pixels: Pixels;
  /** So many pixels of the picture are one of the square. */
  readonly scale: number;
  /** Where the picture begins in the square, in pixels of the picture. */
  readonly left: number;
  /** See `left`. */
  readonly top: number;
}

/**
 * All of a picture in the middle of a black square with sides of so many pixels.
 * @throws InferError as {@link resized}.
 */
export async function squared(picture: Pixels, side: number, pace = new Pace()): Promise<Squared> {
  check(picture);
  const { width, height } = picture;
  const whole = Math.max(width, height);
  const [left, top] = [Math.floor((whole - width) / 2), Math.floor((whole - height) / 2)];
  const pixels = await sampled(picture, triangles(width, side, left, whole), triangles(height, side, top, whole), pace);
  return { pixels, scale: whole / side, left, top };
}

function check({ data, width, height }: Pixels): void {
  if (width > 0 && height > 0 && data.length === width * height * 4) return;
  throw new InferError("invalid-input", `a picture of ${width} × ${height} pixels has 4 bytes for each, not ${data.length} in all`);
}

async function sampled(picture: Pixels, columns: readonly Taps[], rows: readonly Taps[], pace: Pace): Promise<Pixels> {
  const [width, height] = [columns.length, rows.length];
  const narrow = new Uint8ClampedArray(width * picture.height * 4);
  for (let y = 0; y < picture.height; y++) {
    const [from, to] = [y * picture.width * 4, y * width * 4];
    for (let x = 0; x < width; x++) mean(picture.data, from, 4, columns[x]!, narrow, to + x * 4);
    if (pace.isLate) await pace.give();
  }
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) mean(narrow, x * 4, width * 4, rows[y]!, data, (y * width + x) * 4);
    if (pace.isLate) await pace.give();
  }
  return { data, width, height };
}

/** The pixels that count for one of the result, from the first on, and how much; together one, without what is black. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/** For a side of `from` pixels, which begins at `begin` in `whole`; the others are black. */
function triangles(from: number, to: number, begin = 0, whole = from): Taps[] {
  const scale = whole / to;
  const reach = Math.max(1, scale);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(whole, Math.ceil(centre + reach - 0.5));
    const weight = (at: number): number => Math.max(0, 1 - Math.abs((at + 0.5 - centre) / reach));
    let sum = 0;
    for (let at = first; at < end; at++) sum += weight(at);
    const [inside, outside] = [Math.max(begin, first), Math.max(begin, first, Math.min(end, begin + from))];
    const weights = new Float64Array(outside - inside);
    for (let at = inside; at < outside; at++) weights[at - inside] = weight(at) / sum;
    return { first: inside - begin, weights };
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
  // The array would round halves to even numbers, and halves are common. Nothing here looks at alpha.
  target[at] = Math.floor(red + 0.5);
  target[at + 1] = Math.floor(green + 0.5);
  target[at + 2] = Math.floor(blue + 0.5);
  target[at + 3] = 255;
}
