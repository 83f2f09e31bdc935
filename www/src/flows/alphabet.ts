/**
 * From what a recogniser says of each step to text.
 *
 * It gives for each step how likely each character is, and a blank, which stands between two equal characters (connectionist
 * temporal classification; Graves et al., 2006). The reading is greedy: the best of each step, without repetitions and blanks.
 */

import { Pace } from "./pace.js";

/** What was read. */
export interface Reading {
  readonly text: string;
  /** How likely the characters were, on average; 0 without any. */
  readonly confidence: number;
}

/** The characters that a recogniser knows: class 0 is the blank, then those of a key file, then the space. */
export class Alphabet {
  readonly #characters: readonly string[];

  /** From a key file, with a character on each line. */
  constructor(keys: string) {
    this.#characters = [...keys.replace(/\r?\n$/, "").split(/\r?\n/), " "];
  }

  /** How many classes there are. */
  get classes(): number {
    return this.#characters.length + 1;
  }

  /** The text of rows of classes. There may be thousands of classes, so it gives way to others. */
  async read(scores: Float32Array, classes: number, pace = new Pace()): Promise<Reading> {
    let text = "";
    let [sum, count, previous] = [0, 0, 0];
    for (let row = 0; row + classes <= scores.length; row += classes) {
      let best = 0;
      let most = scores[row]!;
      for (let index = 1; index < classes; index++) {
        const score = scores[row + index]!;
        if (score <= most) continue;
        best = index;
        most = score;
      }
      if (best !== 0 && best !== previous) {
        text += this.#characters[best - 1] ?? "\ufffd";
        sum += most;
        count++;
      }
      previous = best;
      if (pace.isLate) await pace.give();
    }
    return { text, confidence: count === 0 ? 0 : sum / count };
  }
}
