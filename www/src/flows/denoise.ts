/**
 * Less noise in speech, as a telephone would do it: DTLN, two models in a chain, 8 ms at a time.
 *
 * ```text
 *  512 samples ─▶ spectrum ─ loudness ─▶ model 1 ─ what to keep ─▶ block ─▶ model 2 ─▶ cleaned, added to its neighbours
 *  128 new ones                         │   ▲                              │   ▲
 *                                       └───┘          variables           └───┘
 * ```
 *
 * The models are streams, and one is the source of the other: while the second cleans a block, the first is at the next, on
 * another worker.
 */

import type { Model } from "inferry";

import { Fourier, type Spectrum } from "./fourier.js";
import { Models, open } from "./open.js";
import type { Bench, CleanOptions, Denoiser } from "./types.js";

/** The files, and the variables of each. */
const FIRST = { name: "dtln/model_1.onnx", options: { state: { input_3: "tf_op_layer_stack_2" } } };
const SECOND = { name: "dtln/model_2.onnx", options: { state: { input_5: "tf_op_layer_stack_5" } } };
/** Samples in a block. */
const BLOCK = 512;
/** New samples in a block, and finished ones out of it. */
const SHIFT = 128;
/** How much later than it came a sample is finished. */
const LATENCY = BLOCK - SHIFT;

const fourier = new Fourier(BLOCK);

/** Opens the denoiser. */
export async function denoiser(bench: Bench): Promise<Denoiser> {
  const { opened } = await open(bench, [FIRST, SECOND], []);
  const [first, second] = opened.map(({ model }) => model) as [Model, Model];
  const models = new Models(opened);
  return {
    models: opened,
    clean: (samples, options) => clean(first, second, samples, options),
    dispose: () => models.dispose(),
  };
}

async function clean(first: Model, second: Model, samples: Float32Array, { signal, onblock }: CleanOptions = {}): Promise<Float32Array> {
  // Silence before, and after until the last sample is finished.
  const total = samples.length === 0 ? 0 : Math.ceil((samples.length + LATENCY) / SHIFT);
  const heard = new Float32Array(LATENCY + total * SHIFT);
  heard.set(samples, LATENCY);
  /** Spectra of blocks that the first model is at, and those that are done with and written to again. */
  const spectra: Spectrum[] = [];
  const free: Spectrum[] = [];

  function* loudness(): Generator<{ input_2: Float32Array }> {
    for (let block = 0; block < total; block++) {
      const spectrum = fourier.forward(heard.subarray(block * SHIFT, block * SHIFT + BLOCK), free.pop());
      spectra.push(spectrum);
      yield { input_2: magnitudes(spectrum) };
    }
  }
  async function* blocks(): AsyncGenerator<{ input_4: Float32Array }> {
    for await (const { activation_2 } of first.stream(loudness(), { signal })) {
      const spectrum = spectra.shift()!;
      keep(spectrum, activation_2!.data as Float32Array);
      free.push(spectrum);
      yield { input_4: fourier.backward(spectrum) };
    }
  }

  const sum = new Float32Array(LATENCY + total * SHIFT);
  let done = 0;
  for await (const { conv1d_3 } of second.stream(blocks(), { signal })) {
    const block = conv1d_3!.data as Float32Array;
    const at = done * SHIFT;
    for (let index = 0; index < BLOCK; index++) sum[at + index]! += block[index]!;
    done++;
    onblock?.(done, total);
  }
  return sum.slice(LATENCY, LATENCY + samples.length);
}

/** How loud each frequency is. */
function magnitudes({ re, im }: Spectrum): Float32Array {
  const loud = new Float32Array(re.length);
  for (let index = 0; index < loud.length; index++) loud[index] = Math.sqrt(re[index]! * re[index]! + im[index]! * im[index]!);
  return loud;
}

/** Leaves so much of each frequency. */
function keep({ re, im }: Spectrum, mask: Float32Array): void {
  for (let index = 0; index < re.length; index++) {
    re[index]! *= mask[index]!;
    im[index]! *= mask[index]!;
  }
}
