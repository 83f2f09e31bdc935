/**
 * Two strips along time: how long the gaps of the page's thread were, and a sound with how likely speech is in it.
 */

import type { Heard } from "./messages.js";
import type { Surface } from "./surface.js";

/** What the strip of gaps shows, in milliseconds, and how finely. */
export const SPAN = 20_000;
const BUCKET = 100;

/** The line that should not be crossed, and the top of the strip. */
const BAR = 25;
const TOP = 50;

/** The longest gap in each tenth of a second. */
export function paintGaps(surface: Surface, ticks: Float64Array, now: number): void {
  surface.paint((context, { width, height }, colour) => {
    const buckets = new Float64Array(SPAN / BUCKET);
    for (let at = 0; at < ticks.length; at += 2) {
      const bucket = Math.floor((ticks[at]! - now + SPAN) / BUCKET);
      if (bucket >= 0) buckets[Math.min(bucket, buckets.length - 1)] = Math.max(buckets[Math.min(bucket, buckets.length - 1)]!, ticks[at + 1]!);
    }
    const wide = width / buckets.length;
    const y = (gap: number): number => (Math.min(gap, TOP) / TOP) * height;
    buckets.forEach((gap, index) => {
      context.fillStyle = colour(gap > BAR ? "failed" : "accent");
      if (gap > 0) context.fillRect(index * wide, height - y(gap), Math.max(0.8, wide - 0.6), y(gap));
    });
    context.fillStyle = colour("line");
    context.fillRect(0, height - y(BAR), width, 1);
  });
}

/** The wave, how likely speech is over it, and where it is taken for speech. */
export function paintSound(surface: Surface, { samples, rate, window, probabilities, segments }: Heard): void {
  surface.paint((context, { width, height }, colour) => {
    const middle = height / 2;
    const x = (sample: number): number => (sample / Math.max(1, samples.length)) * width;
    context.fillStyle = colour("band");
    for (const { from, to } of segments) context.fillRect(x(from * rate), 0, x((to - from) * rate), height);
    context.fillStyle = colour("line");
    context.fillRect(0, middle - 0.5, width, 1);
    context.fillStyle = colour("wave");
    for (let column = 0; column < width && samples.length > 0; column++) {
      const [low, high] = extremes(samples, (column / width) * samples.length, ((column + 1) / width) * samples.length);
      context.fillRect(column, middle - high * middle * 0.92, 1, Math.max(1, (high - low) * middle * 0.92));
    }
    context.strokeStyle = colour("accent");
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.beginPath();
    probabilities.forEach((probability, index) => context.lineTo(x((index + 0.5) * window), height - 2 - probability * (height - 4)));
    context.stroke();
  });
}

/** The least and the greatest of some samples; not all of many are looked at. */
function extremes(samples: Float32Array, from: number, to: number): [number, number] {
  let [low, high] = [0, 0];
  const step = Math.max(1, Math.floor((to - from) / 40));
  for (let at = Math.floor(from); at < to; at += step) {
    const sample = samples[at] ?? 0;
    if (sample < low) low = sample;
    if (sample > high) high = sample;
  }
  return [low, high];
}
