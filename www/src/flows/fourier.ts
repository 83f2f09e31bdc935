/**
 * The discrete Fourier transform of real blocks whose length is a power of two, after Cooley and Tukey.
 *
 * Spectra are half: the other half of a real block's mirrors it. Numbers are of 64 bits; a block of 512 takes some tens of
 * microseconds.
 */

/** The first half of a spectrum and its middle: `length / 2 + 1` numbers of each part. */
export interface Spectrum {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** Transforms blocks of one length. */
export class Fourier {
  readonly #length: number;
  /** Cosines and sines of one turn in `length` steps; half of it is needed. */
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  /** Where each number goes first: its index with the bits in the other order. */
  readonly #order: Uint32Array;

  /** @throws RangeError when the length is no power of two from 2 on. */
  constructor(length: number) {
    const bits = Math.log2(length);
    if (!(bits >= 1 && Number.isInteger(bits))) throw new RangeError(`the length of a transform is a power of two from 2 on, not ${length}`);
    this.#length = length;
    const angle = (index: number): number => (2 * Math.PI * index) / length;
    this.#cos = Float64Array.from({ length: length / 2 }, (_, index) => Math.cos(angle(index)));
    this.#sin = Float64Array.from({ length: length / 2 }, (_, index) => Math.sin(angle(index)));
    this.#order = new Uint32Array(length);
    for (let index = 1; index < length; index++) {
      this.#order[index] = (this.#order[index >> 1]! >> 1) | (index & 1 ? length >> 1 : 0);
    }
  }

  /** The spectrum of a block. */
  forward(block: ArrayLike<number>): Spectrum {
    const [re, im] = [Float64Array.from(this.#order, (from) => block[from] ?? 0), new Float64Array(this.#length)];
    this.#transform(re, im);
    const half = this.#length / 2 + 1;
    return { re: re.slice(0, half), im: im.slice(0, half) };
  }

  /** The block that has this spectrum. */
  backward({ re, im }: Spectrum): Float32Array {
    const length = this.#length;
    // The inverse of a transform is the transform of the conjugate, over the length: here of the mirrored spectrum.
    const whole = (part: Float64Array, sign: number) => (index: number) => (index <= length / 2 ? part[index]! : sign * part[length - index]!);
    const [real, imaginary] = [whole(re, 1), whole(im, -1)];
    const a = Float64Array.from(this.#order, real);
    const b = Float64Array.from(this.#order, (index) => -imaginary(index));
    this.#transform(a, b);
    return Float32Array.from(a, (value) => value / length);
  }

  /** In place, from the order of reversed bits to the natural one. */
  #transform(re: Float64Array, im: Float64Array): void {
    const length = this.#length;
    for (let half = 1; half < length; half *= 2) {
      const step = length / (2 * half);
      for (let begin = 0; begin < length; begin += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [a, b] = [begin + k, begin + k + half];
          const [cos, sin] = [this.#cos[k * step]!, -this.#sin[k * step]!];
          const x = re[b]! * cos - im[b]! * sin;
          const y = re[b]! * sin + im[b]! * cos;
          re[b] = re[a]! - x;
          im[b] = im[a]! - y;
          re[a] = re[a]! + x;
          im[a] = im[a]! + y;
        }
      }
    }
  }
}
