/**
 * Boxes around lines of text, from the map of a detector.
 *
 * The detector (a "DB" network: Liao et al., Real-time Scene Text Detection with Differentiable Binarization, 2020) gives for
 * each pixel how sure it is that a shrunken line of text covers it. A box is the smallest rectangle around a connected region above
 * a threshold, grown back by what training had shrunk it. Nothing here knows of models.
 */

import { type Quad, contains, grown, heightOf, scaled, smallestRectangle, widthOf } from "./geometry.js";
import { Pace } from "./pace.js";
import type { Point } from "./types.js";

/** A pixel above this belongs to a region. */
const THRESHOLD = 0.2;
/** A box with less inside on average is dropped. */
const SURE = 0.4;
/** How far a box grows, times area over circumference. */
const UNCLIP = 1.4;
/** Boxes less high than this, in pixels of the map, are specks. */
const LEAST = 3;
/** Boxes whose upper corners differ by less than about this, in pixels of the picture, are on one line. */
const LINE = 10;

/** How sure the detector is, in rows. */
export interface Heat {
  readonly data: Float32Array;
  readonly width: number;
  readonly height: number;
}

/** The boxes in a picture of this size, from top to bottom, and from left to right on a line. */
export async function boxes(heat: Heat, picture: { readonly width: number; readonly height: number }, pace = new Pace()): Promise<Quad[]> {
  const [across, down] = [picture.width / heat.width, picture.height / heat.height];
  const found: Quad[] = [];
  for await (const region of regions(heat, pace)) {
    const quad = smallestRectangle(region);
    if (!quad) continue;
    const [width, height] = [widthOf(quad), heightOf(quad)];
    if (Math.min(width, height) < LEAST || mean(heat, quad) < SURE) continue;
    const whole = grown(quad, (width * height * UNCLIP) / (2 * (width + height)));
    found.push(scaled(centred(whole), across, down));
    if (pace.isLate) await pace.give();
  }
  const line = ([{ y }]: Quad): number => Math.round(y / LINE);
  return found.sort((a, b) => line(a) - line(b) || a[0].x - b[0].x);
}

/** Pixels were places by their number: that is where their centres are, half a pixel from where they begin. */
function centred(quad: Quad): Quad {
  return quad.map(({ x, y }) => ({ x: x + 0.5, y: y + 0.5 })) as unknown as Quad;
}

/** Of each connected region (eight neighbours) the first and the last pixel of each row: they have its convex hull. */
async function* regions(heat: Heat, pace: Pace): AsyncGenerator<Point[]> {
  const { data, width, height } = heat;
  const seen = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const start = y * width + x;
      if (seen[start] || !(data[start]! > THRESHOLD)) continue;
      yield ends(heat, start, seen);
      if (pace.isLate) await pace.give();
    }
    if (pace.isLate) await pace.give();
  }
}

function ends({ data, width, height }: Heat, start: number, seen: Uint8Array): Point[] {
  const rows = new Map<number, { first: number; last: number }>();
  const open = [start];
  seen[start] = 1;
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    const y = Math.floor(index / width);
    const x = index - y * width;
    const row = rows.get(y);
    if (!row) rows.set(y, { first: x, last: x });
    else if (x < row.first) row.first = x;
    else if (x > row.last) row.last = x;
    for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++) {
      for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
        const next = ny * width + nx;
        if (seen[next] || !(data[next]! > THRESHOLD)) continue;
        seen[next] = 1;
        open.push(next);
      }
    }
  }
  return [...rows].flatMap(([y, { first, last }]) => [{ x: first, y }, { x: last, y }]);
}

/** The mean of the map inside a box. */
function mean({ data, width, height }: Heat, quad: Quad): number {
  const range = (places: number[], extent: number): [number, number] => [
    Math.max(0, Math.floor(Math.min(...places))),
    Math.min(extent - 1, Math.ceil(Math.max(...places))),
  ];
  const [left, right] = range(quad.map(({ x }) => x), width);
  const [top, bottom] = range(quad.map(({ y }) => y), height);
  let [sum, count] = [0, 0];
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      if (!contains(quad, { x, y })) continue;
      sum += data[y * width + x]!;
      count++;
    }
  }
  return count === 0 ? 0 : sum / count;
}
