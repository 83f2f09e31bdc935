// Holds the results of one side against the other's: nobody is fast by being wrong.

/** What is different, in a line; `undefined` when nothing is. Both are as `sampled` in `page/feeds.mjs` gives them. */
export function difference(ours, theirs, { atol, rtol, outside, share = 0 }) {
  if (ours.length !== theirs.length) return `${ours.length} outputs instead of ${theirs.length}`;
  for (const [index, mine] of ours.entries()) {
    const other = theirs[index];
    if (mine.type !== other.type || String(mine.dims) !== String(other.dims)) {
      return `output ${index}: ${mine.type} [${mine.dims}] instead of ${other.type} [${other.dims}]`;
    }
    const largest = share > 0 ? Math.max(...other.values.map((value) => Math.abs(value))) : 0;
    const near = (value, at) => isNear(value, other.values[at], atol + share * largest, rtol);
    const beyond = mine.values.filter((value, at) => !near(value, at)).length;
    if (beyond > outside * mine.values.length) return `output ${index}: ${beyond} of ${mine.values.length} elements differ`;
  }
  return undefined;
}

/** Numbers, or what is no finite number as a word. */
function isNear(a, b, atol, rtol) {
  return a === b || Math.abs(a - b) <= atol + rtol * Math.abs(b);
}
