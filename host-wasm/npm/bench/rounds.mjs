// Timing several pages in turns: what `latency` and `add` share.

import { median, ratio, turns } from "./stats.mjs";

/** A batch lasts at least so long, in ms: fifty steps of a plain page's clock. */
const BATCH = 5;

/** How long each side is timed in a round, in ms, and between how many batches that is kept. */
const ROUND = 300;
const [LEAST, MOST] = [3, 60];

/**
 * Milliseconds a run on each of the pages: `{ [name]: { rounds, median } }`, `rounds` the median of each round. All pages are
 * warm before the first round.
 */
export async function timed(pages, rounds) {
  const sides = new Map();
  for (const page of pages) {
    const usual = await page.call("warm");
    const batch = Math.max(1, Math.ceil(BATCH / Math.max(usual, 1e-3)));
    const samples = Math.round(Math.min(MOST, Math.max(LEAST, ROUND / (batch * usual))));
    sides.set(page, { batch, samples, found: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const page of turns(pages, round)) {
      const { batch, samples, found } = sides.get(page);
      found.push(median(await page.call("time", { batch, samples })));
    }
  }
  return Object.fromEntries([...sides].map(([page, { found }]) => [page.name, { rounds: found, median: median(found) }]));
}

/** The ratio of two sides of {@link timed}, round by round. */
export function compared(times, ours, theirs) {
  return ratio(times[ours].rounds, times[theirs].rounds);
}
