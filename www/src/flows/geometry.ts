/**
 * Points, quadrilaterals, and the smallest rectangle around a set of points. x goes to the right and y down. Nothing here knows of
 * pictures or text.
 */

import type { Corners, Point } from "./types.js";

/** Four corners, in the order of {@link Corners}. */
export type Quad = Corners;

/** Length of the upper side. */
export function widthOf([a, b]: Quad): number {
  return distance(a, b);
}

/** Length of the left side. */
export function heightOf([a, , , d]: Quad): number {
  return distance(a, d);
}

/** A rectangle with every side moved outwards. */
export function grown(quad: Quad, margin: number): Quad {
  const [a, b, c, d] = quad;
  const along = times(minus(b, a), margin / Math.max(widthOf(quad), Number.MIN_VALUE));
  const down = times(minus(d, a), margin / Math.max(heightOf(quad), Number.MIN_VALUE));
  return [minus(minus(a, along), down), minus(plus(b, along), down), plus(plus(c, along), down), plus(minus(d, along), down)];
}

/** Every corner times a factor in x and one in y. */
export function scaled(quad: Quad, across: number, down: number): Quad {
  return quad.map(({ x, y }) => ({ x: x * across, y: y * down })) as unknown as Quad;
}

/** The same corners for a reader whose page is turned by so many quarters. */
export function turned(quad: Quad, quarters: number): Quad {
  return quad.map((_, corner) => quad[(corner + quarters) % 4]) as unknown as Quad;
}

/** Whether a point lies inside or on a side. */
export function contains(quad: Quad, point: Point): boolean {
  return quad.every((corner, index) => cross(corner, quad[(index + 1) % 4]!, point) >= -1e-3);
}

/** A point that is written to. */
export interface Place {
  x: number;
  y: number;
}

/** From the unit square to a quadrilateral, as a plane is seen by a camera (Heckbert, 1989). Who asks for many places brings one to write to. */
export function projection([p, q, r, s]: Quad): (u: number, v: number, into?: Place) => Point {
  const [along, down, rest] = [minus(q, r), minus(s, r), plus(minus(p, q), minus(r, s))];
  const det = along.x * down.y - down.x * along.y;
  // A parallelogram has no vanishing points; what has no area has no inverse, and needs none here.
  const g = det === 0 ? 0 : (rest.x * down.y - down.x * rest.y) / det;
  const h = det === 0 ? 0 : (along.x * rest.y - rest.x * along.y) / det;
  const u = plus(minus(q, p), times(q, g));
  const v = plus(minus(s, p), times(s, h));
  return (a, b, into = { x: 0, y: 0 }) => {
    const depth = g * a + h * b + 1;
    into.x = (u.x * a + v.x * b + p.x) / depth;
    into.y = (u.y * a + v.y * b + p.y) / depth;
    return into;
  };
}

/** The rectangle of least area around points, its first side the one that points to the right most. `undefined` without points. */
export function smallestRectangle(points: readonly Point[]): Quad | undefined {
  const hull = convexHull(points);
  const [first] = hull;
  if (!first) return undefined;
  if (hull.length === 1) return [first, first, first, first];
  // One side of it lies along a side of the hull (Freeman and Shapira, 1975).
  let best: Quad | undefined;
  let least = Infinity;
  hull.forEach((corner, index) => {
    const quad = around(hull, minus(hull[(index + 1) % hull.length]!, corner));
    const area = widthOf(quad) * heightOf(quad);
    if (area < least) [best, least] = [quad, area];
  });
  return best && upright(best);
}

/** The rectangle around points with sides along a direction and across it. */
function around(points: readonly Point[], direction: Point): Quad {
  const u = times(direction, 1 / Math.hypot(direction.x, direction.y));
  const v = { x: -u.y, y: u.x };
  const [u0, u1] = extent(points, u);
  const [v0, v1] = extent(points, v);
  const corner = (a: number, b: number): Point => plus(times(u, a), times(v, b));
  return [corner(u0, v0), corner(u1, v0), corner(u1, v1), corner(u0, v1)];
}

function extent(points: readonly Point[], axis: Point): [number, number] {
  const places = points.map(({ x, y }) => x * axis.x + y * axis.y);
  return [Math.min(...places), Math.max(...places)];
}

/** The same rectangle with its first side to the right. */
function upright(quad: Quad): Quad {
  const slope = ([a, b]: Quad): number => (b.x - a.x) / Math.max(distance(a, b), Number.MIN_VALUE);
  return [1, 2, 3].map((quarters) => turned(quad, quarters)).reduce((best, one) => (slope(one) > slope(best) ? one : best), quad);
}

/** The corners of the convex hull, in order (Andrew's monotone chain, 1979). */
function convexHull(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  const distinct = sorted.filter(({ x, y }, index) => index === 0 || x !== sorted[index - 1]!.x || y !== sorted[index - 1]!.y);
  if (distinct.length < 3) return distinct;
  const half = (points: readonly Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of points) {
      while (chain.length > 1 && cross(chain.at(-2)!, chain.at(-1)!, point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(distinct), ...half(distinct.reverse())];
}

function cross(origin: Point, a: Point, b: Point): number {
  return (a.x - origin.x) * (b.y - origin.y) - (a.y - origin.y) * (b.x - origin.x);
}

function plus(a: Point, b: Point): Point {
  return { x: a.x + b.x, y: a.y + b.y };
}

function minus(a: Point, b: Point): Point {
  return { x: a.x - b.x, y: a.y - b.y };
}

function times({ x, y }: Point, factor: number): Point {
  return { x: x * factor, y: y * factor };
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
