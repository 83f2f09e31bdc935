/**
 * The discrete Fourier transform of real blocks whose length is a power of two, after Cooley and Tukey.
 *
 * Spectra are half: the other half of a real block's mirrors it. So a block is transformed as half as many complex numbers, its even
 * samples with its odd ones as imaginary parts, which are told apart afterwards. Numbers are of 64 bits; a block of 512 takes
 * some ten microseconds. Nothing is allocated but what is given back, and not that where there is something to write to: two
 * hundred megabytes of garbage for six seconds of sound were what the page's thread stopped for most often.
 */

/** The first half of a spectrum and its middle: `length / 2 + 1` numbers of each part. */
export interface Spectrum {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** Transforms blocks of one length. */
export class Fourier {
  readonly #length: number;
  /** Cosines and sines of half a turn in `length / 2` steps. */
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  /** Where each complex number goes first: its index with the bits in the other order. */
  readonly #order: Uint32Array;
  /** What is transformed. */
  readonly #re: Float64Array;
  readonly #im: Float64Array;

  /** @throws RangeError when the length is no power of two from 2 on. */
  constructor(length: number) {
    const bits = Math.log2(length);
    if (!(bits >= 1 && Number.isInteger(bits))) throw new RangeError(`the length of a transform is a power of two from 2 on, not ${length}`);
    const half = length / 2;
    this.#length = length;
    const angle = (index: number): number => (2 * Math.PI * index) / length;
    this.#cos = Float64Array.from({ length: half }, (_, index) => Math.cos(angle(index)));
    this.#sin = Float64Array.from({ length: half }, (_, index) => Math.sin(angle(index)));
    this.#order = new Uint32Array(half);
    for (let index = 1; index < half; index++) {
      this.#order[index] = (this.#order[index >> 1]! >> 1) | (index & 1 ? half >> 1 : 0);
    }
    this.#re = new Float64Array(half);
    this.#im = new Float64Array(half);
  }

  /** A spectrum to write to. */
  spectrum(): Spectrum {
    const many = this.#length / 2 + 1;
    return { re: new Float64Array(many), im: new Float64Array(many) };
  }

  /** The spectrum of a block. */
  forward(block: ArrayLike<number>, into = this.spectrum()): Spectrum {
    const half = this.#length / 2;
    const a = this.#re;
    const b = this.#im;
    for (let index = 0; index < half; index++) {
      const from = 2 * this.#order[index]!;
      a[index] = block[from] ?? 0;
      b[index] = block[from + 1] ?? 0;
    }
    this.#transform(a, b);
    for (let k = 0; k <= half; k++) {
      const here = k === half ? 0 : k;
      const there = k === 0 ? 0 : half - k;
      // The spectra of the even samples and of the odd ones.
      const evenRe = (a[here]! + a[there]!) / 2;
      const evenIm = (b[here]! - b[there]!) / 2;
      const oddRe = (b[here]! + b[there]!) / 2;
      const oddIm = (a[there]! - a[here]!) / 2;
      const cos = k === half ? -1 : this.#cos[k]!;
      const sin = k === half ? 0 : -this.#sin[k]!;
      into.re[k] = evenRe + oddRe * cos - oddIm * sin;
      into.im[k] = evenIm + oddRe * sin + oddIm * cos;
    }
    return into;
  }

  /** The block that has this spectrum. */
  backward({ re, im }: Spectrum): Float32Array<ArrayBuffer> {
    const half = this.#length / 2;
    const a = this.#re;
    const b = this.#im;
    for (let index = 0; index < half; index++) {
      const k = this.#order[index]!;
      const evenRe = (re[k]! + re[half - k]!) / 2;
      const evenIm = (im[k]! - im[half - k]!) / 2;
      const x = (re[k]! - re[half - k]!) / 2;
      const y = (im[k]! + im[half - k]!) / 2;
      const oddRe = x * this.#cos[k]! - y * this.#sin[k]!;
      const oddIm = x * this.#sin[k]! + y * this.#cos[k]!;
      // The inverse of a transform is the conjugate of the transform of the conjugate, over the length.
      a[index] = evenRe - oddIm;
      b[index] = -(evenIm + oddRe);
    }
    this.#transform(a, b);
    const block = new Float32Array(this.#length);
    for (let index = 0; index < half; index++) {
      block[2 * index] = a[index]! / half;
      block[2 * index + 1] = -b[index]! / half;
    }
    return block;
  }

  /** In place, from the order of reversed bits to the natural one. */
  #transform(re: Float64Array, im: Float64Array): void {
    const length = re.length;
    for (let half = 1; half < length; half *= 2) {
      const step = this.#length / (2 * half);
      for (let begin = 0; begin < length; begin += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = begin + k;
          const b = a + half;
          const cos = this.#cos[k * step]!;
          const sin = -this.#sin[k * step]!;
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
