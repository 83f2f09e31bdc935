// How figures look: in a table of Markdown, and beside a bar.

/** A table of Markdown; all columns but the first hold numbers. */
export function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, index) => (index ? "---:" : "---"))), ...rows.map(line), ""];
}

/** Milliseconds with three digits that count. */
export function ms(value) {
  if (!Number.isFinite(value)) return "–";
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3);
}

/** A ratio, a rate, or a count of anything. */
export function plain(value, digits = 2) {
  return Number.isFinite(value) ? value.toFixed(digits) : "–";
}

/** Bytes in MB. */
export function megabytes(bytes) {
  return Number.isFinite(bytes) ? (bytes / 1e6).toFixed(1) : "–";
}

/** A figure that must not be above `most`, or below `least`. */
export function bar(what, figure, { most, least }, unit = "") {
  const passes = most !== undefined ? figure <= most : figure >= least;
  const wanted = most !== undefined ? `at most ${most}${unit}` : `at least ${least}${unit}`;
  return { what, figure, wanted, unit, passes };
}

/** A bar in one line. */
export function verdict({ what, figure, wanted, unit, passes }) {
  return `${passes ? "pass " : "short"}  ${what}: ${plain(figure)}${unit} (${wanted})`;
}
