/**
 * The runs of the last minute, and the gaps of the page's thread in the last seconds, as the painter keeps them.
 */

import { percentiles } from "../numbers.js";
import { DONE, NUMBERS, stageEnds } from "./packed.js";

/** Runs that ended longer ago than this are forgotten. */
const KEPT = 60_000;

/** The percentiles of durations are of so many of the latest runs. */
const LATEST = 300;
const STAGES = 5;
const SHARES = [0.5, 0.9, 0.99];

/** Runs, those that have ended in the order in which they did. */
export class Runs {
  #ended = new Float64Array(1024 * NUMBERS);
  #length = 0;
  pending = new Float64Array(0);

  /** Those that have ended. */
  get ended(): Float64Array {
    return this.#ended.subarray(0, this.#length);
  }

  /** Adds those that have ended, and takes others for those that are under way. */
  add(ended: Float64Array, pending: Float64Array<ArrayBuffer>, now: number): void {
    this.pending = pending;
    let old = 0;
    while (old < this.#length && this.#ended[old + 3]! < now - KEPT) old += NUMBERS;
    this.#ended.copyWithin(0, old, this.#length);
    this.#length -= old;
    if (this.#length + ended.length > this.#ended.length) {
      const larger = new Float64Array(2 * (this.#length + ended.length));
      larger.set(this.ended);
      this.#ended = larger;
    }
    this.#ended.set(ended, this.#length);
    this.#length += ended.length;
  }

  /** How long the stages of the latest runs took that ended as done, and how many they are. */
  durations(): { readonly stages: number[][]; readonly done: number } {
    const all = Array.from({ length: STAGES + 1 }, () => new Float64Array(LATEST));
    const ends = new Float64Array(STAGES);
    let done = 0;
    for (let at = this.#length - NUMBERS; at >= 0 && done < LATEST; at -= NUMBERS) {
      if (this.#ended[at + 6] !== DONE) continue;
      const asked = this.#ended[at]!;
      stageEnds(this.#ended, at, Infinity, ends);
      ends.forEach((end, stage) => (all[stage]![done] = Math.max(0, end - (stage === 0 ? asked : ends[stage - 1]!))));
      all[STAGES]![done] = this.#ended[at + 3]! - asked;
      done += 1;
    }
    return { stages: all.map((values) => percentiles(values.subarray(0, done), SHARES)), done };
  }
}

/** Gaps, by when they ended. */
export class Gaps {
  #ticks = new Float64Array(0);
  readonly #span: number;

  /** Keeps those of so many milliseconds. */
  constructor(span: number) {
    this.#span = span;
  }

  /** When, how long, when, how long. */
  get ticks(): Float64Array {
    return this.#ticks;
  }

  add(ticks: Float64Array, now: number): void {
    let old = 0;
    while (old < this.#ticks.length && this.#ticks[old]! < now - this.#span) old += 2;
    const all = new Float64Array(this.#ticks.length - old + ticks.length);
    all.set(this.#ticks.subarray(old));
    all.set(ticks, this.#ticks.length - old);
    this.#ticks = all;
  }

  /** The percentiles 50 and 99.9, and the longest. */
  figures(): number[] {
    return percentiles(this.#ticks.filter((_, index) => index % 2 === 1), [0.5, 0.999, 1]);
  }
}
