// What becomes of many timings: medians, percentiles, ratios taken in turns. Nothing here measures.

/** The middle of some numbers; of an even count, the mean of the two in the middle. `NaN` of none. */
export function median(numbers) {
  if (numbers.length === 0) return NaN;
  const sorted = ascending(numbers);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The smallest of the numbers that at least the share `share` (0 to 1) of them does not exceed. `NaN` of none. */
export function percentile(numbers, share) {
  if (numbers.length === 0) return NaN;
  // Shares such as 0.99 have no exact form: 0.99 * 100 must not become the 100th of a hundred.
  const rank = Math.ceil(share * numbers.length - 1e-9);
  return ascending(numbers)[Math.min(Math.max(rank, 1), numbers.length) - 1];
}

/** The largest; `-Infinity` of none. Takes more numbers than fit into a call. */
export function largest(numbers) {
  return numbers.reduce((most, number) => Math.max(most, number), -Infinity);
}

/** The geometric mean: of ratios, the one that treats 2 and 0.5 as opposites. `NaN` of none. */
export function geometric(ratios) {
  return Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
}

/**
 * Of figures taken in turns (`a[i]` and `b[i]` in round `i`): the median of the ratios of each round, in which what slows
 * the machine for a while counts on both sides.
 */
export function ratio(a, b) {
  const rounds = Math.min(a.length, b.length);
  return median(Array.from({ length: rounds }, (_, round) => a[round] / b[round]));
}

/** The times between the ticks of a clock. */
export function gaps(ticks) {
  return ticks.slice(1).map((tick, index) => tick - ticks[index]);
}

/** The order in which `items` take their turn in a round: there and back, so that nobody is always first. */
export function turns(items, round) {
  return round % 2 ? [...items].reverse() : [...items];
}

function ascending(numbers) {
  return [...numbers].sort((a, b) => a - b);
}
