/**
 * Boxes around what was found, and the removal of those that say the same as a better one.
 */

/** A box: right and bottom are where it ends. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The share of what two boxes cover that both do. */
export function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  const common = Math.max(0, width) * Math.max(0, height);
  const both = area(a) + area(b) - common;
  return both > 0 ? common / both : 0;
}

/** The best of all, the best of those that are not the same as it, and so on. */
export function best<T>(all: readonly T[], score: (one: T) => number, same: (a: T, b: T) => boolean): T[] {
  const kept: T[] = [];
  for (const one of [...all].sort((a, b) => score(b) - score(a))) {
    if (!kept.some((better) => same(better, one))) kept.push(one);
  }
  return kept;
}

function area({ left, top, right, bottom }: Box): number {
  return Math.max(0, right - left) * Math.max(0, bottom - top);
}
