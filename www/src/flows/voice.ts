/**
 * Where somebody speaks: Silero's voice activity detector, a window at a time.
 *
 * ```text
 *  sound ─▶ 64 samples heard before │ 512 new ones ─▶ model ─▶ how likely speech is
 *                                                     │   ▲
 *                                                     └───┘ what it remembers: a variable, which the request keeps
 * ```
 */

import type { InferRequest, Model } from "inferry";

import { Models, open } from "./open.js";
import { stretches } from "./segments.js";
import type { Bench, Speech, VoiceDetector, VoiceOptions, VoiceStream } from "./types.js";

const FILE = "silero/vad_16k.onnx";
const RATE = 16_000;
/** New samples in a window. */
const WINDOW = 512;
/** Samples of the window before that are heard again. */
const CONTEXT = 64;

/** Opens the detector. */
export async function voiceDetector(bench: Bench): Promise<VoiceDetector> {
  const { opened } = await open(bench, [{ name: FILE, options: { state: { state: "stateN" } } }], []);
  const [{ model }] = opened as [(typeof opened)[number]];
  const models = new Models(opened);
  return {
    models: opened,
    detect: (samples, options) => detect(model, samples, options),
    stream: () => new Listener(model),
    dispose: () => models.dispose(),
  };
}

async function detect(model: Model, samples: Float32Array, { signal, onwindow }: VoiceOptions = {}): Promise<Speech> {
  const count = Math.floor(samples.length / WINDOW);
  const probabilities = new Float32Array(count);
  const heard = new Float32Array(CONTEXT + count * WINDOW);
  heard.set(samples.subarray(0, count * WINDOW), CONTEXT);
  let window = 0;
  // A model with variables goes through a stream on one request: each window begins with what the one before left.
  for await (const { output } of model.stream(windows(heard), { signal })) {
    const probability = Number(output?.data[0]);
    probabilities[window] = probability;
    onwindow?.(window, probability);
    window++;
  }
  const seconds = (windows: number): number => (windows * WINDOW) / RATE;
  return { probabilities, segments: stretches(probabilities).map(([from, to]) => ({ from: seconds(from), to: seconds(to) })) };
}

/** The windows of a sound that begins with a context. They are views: a run copies them when it starts. */
function* windows(heard: Float32Array): Generator<{ input: Float32Array }> {
  for (let at = 0; at + CONTEXT + WINDOW <= heard.length; at += WINDOW) yield { input: heard.subarray(at, at + CONTEXT + WINDOW) };
}

/** A request of its own, and what is not heard yet. */
class Listener implements VoiceStream {
  readonly #request: InferRequest;
  /** A context, and samples that do not fill a window. */
  #heard = new Float32Array(CONTEXT);
  /** What was asked for is done in order. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(model: Model) {
    this.#request = model.createInferRequest();
  }

  push(samples: Float32Array): Promise<number[]> {
    // The caller's buffer may be another's when it is its turn.
    const own = samples.slice();
    return this.#then(() => this.#hear(own));
  }

  reset(): void {
    // What was disposed has nothing to forget.
    this.#then(() => this.#forget()).catch(() => undefined);
  }

  dispose(): void {
    this.#request.dispose();
  }

  #then<T>(work: () => T | Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #hear(samples: Float32Array): Promise<number[]> {
    const all = new Float32Array(this.#heard.length + samples.length);
    all.set(this.#heard);
    all.set(samples, this.#heard.length);
    const probabilities: number[] = [];
    for (const window of windows(all)) {
      const { output } = await this.#request.infer(window);
      probabilities.push(Number(output?.data[0]));
    }
    this.#heard = all.slice(probabilities.length * WINDOW);
    return probabilities;
  }

  #forget(): void {
    this.#heard = new Float32Array(CONTEXT);
    this.#request.resetState();
  }
}
