/**
 * Parts of a picture, straightened: what lies in a quadrilateral as a picture of its own.
 *
 * Between pixels it is bilinear. Where the part is several times as large as what becomes of it, each pixel is a mean of several
 * places, so that thin strokes are not lost.
 */

import { type Quad, heightOf, projection } from "./geometry.js";
import { Pace } from "./pace.js";
import type { Pixels } from "./types.js";

/** The most places a pixel is a mean of, in each direction. */
const FINEST = 4;
/** The grey that a normalisation to -1..1 makes next to nothing of. */
const GREY = 128;

/** How large a part becomes. */
export interface Size {
  readonly width: number;
  readonly height: number;
  /** The width with what is grey at the right; by default the same. */
  readonly padded?: number;
}

/** What lies in a quadrilateral of a picture, as a picture of so many pixels. */
export async function straightened(picture: Pixels, quad: Quad, { width, height, padded = width }: Size, pace = new Pace()): Promise<Pixels> {
  const data = new Uint8ClampedArray(padded * height * 4).fill(GREY);
  const place = projection(quad);
  const fine = Math.min(FINEST, Math.max(1, Math.round(heightOf(quad) / height)));
  // Written to for every pixel: what is made anew for each is ten megabytes of garbage a page.
  const at = { x: 0, y: 0 };
  const sum = new Float64Array(3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      sum.fill(0);
      for (let part = 0; part < fine * fine; part++) {
        const u = (x + ((part % fine) + 0.5) / fine) / width;
        const v = (y + (Math.floor(part / fine) + 0.5) / fine) / height;
        place(u, v, at);
        add(picture, at.x - 0.5, at.y - 0.5, sum);
      }
      const to = (y * padded + x) * 4;
      for (let channel = 0; channel < 3; channel++) data[to + channel] = Math.floor(sum[channel]! / (fine * fine) + 0.5);
      data[to + 3] = 255;
    }
    if (pace.isLate) await pace.give();
  }
  return { data, width: padded, height };
}

/** Adds the colour at a place, given by the centres of pixels; beyond the picture that of its nearest pixel. */
function add({ data, width, height }: Pixels, x: number, y: number, sum: Float64Array): void {
  const left = Math.min(width - 1, Math.max(0, x));
  const top = Math.min(height - 1, Math.max(0, y));
  const x0 = Math.floor(left);
  const y0 = Math.floor(top);
  const across = left - x0;
  const down = top - y0;
  const right = x0 + 1 < width ? 4 : 0;
  const below = y0 + 1 < height ? width * 4 : 0;
  const at = (y0 * width + x0) * 4;
  for (let channel = 0; channel < 3; channel++) {
    const a = data[at + channel]!;
    const c = data[at + below + channel]!;
    const upper = a + (data[at + right + channel]! - a) * across;
    const lower = c + (data[at + below + right + channel]! - c) * across;
    sum[channel]! += upper + (lower - upper) * down;
  }
}
