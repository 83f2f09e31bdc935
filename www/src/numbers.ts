/**
 * Numbers as people read them, and what is read off many of them.
 */

/** Milliseconds: three digits that matter, and seconds from a second on. */
export function ms(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 9995) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 999.5) return `${(value / 1000).toFixed(2)} s`;
  return `${value >= 99.5 ? value.toFixed(0) : value >= 9.95 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

/** Bytes, in units of a thousand. */
export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(0)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

/** A share of one, in per cent. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0.995 || share === 0 ? 0 : 1)} %`;
}

/** `1 line`, `2 lines`. */
export function many(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}

/** The value below which so many of the values lie (0 to 1), by the nearest rank. `NaN` of nothing. */
export function percentile(values: ArrayLike<number>, share: number): number {
  return percentiles(values, [share])[0] ?? NaN;
}

/** Several of them, for one sorting. */
export function percentiles(values: ArrayLike<number>, shares: readonly number[]): number[] {
  const sorted = new Float64Array(values).sort();
  return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? NaN);
}
