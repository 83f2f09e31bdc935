/**
 * From how likely speech is in each window to the stretches of windows in which somebody speaks.
 */

/** Speech begins, or goes on, with a window above this. */
const SPEECH = 0.5;
/** A window below this is quiet: speech ends with it, when a pause follows. */
const QUIET = 0.35;
/** So many windows after a quiet one, it has been the end: 128 ms. */
const PAUSE = 4;

/** The first window of each stretch, and the one after its last. */
export function stretches(probabilities: ArrayLike<number>): [number, number][] {
  const found: [number, number][] = [];
  let begun: number | undefined;
  let quiet: number | undefined;
  for (let window = 0; window < probabilities.length; window++) {
    const likely = probabilities[window] ?? 0;
    if (likely > SPEECH) {
      begun ??= window;
      quiet = undefined;
    } else if (likely < QUIET && begun !== undefined) {
      quiet ??= window;
      if (window - quiet < PAUSE) continue;
      found.push([begun, quiet]);
      begun = quiet = undefined;
    }
  }
  if (begun !== undefined) found.push([begun, quiet ?? probabilities.length]);
  return found;
}
