/**
 * Sounds: out of files, out of the microphone, into players, and as a strip. One channel, 16 000 samples a second.
 */

import { colours, el, sharp } from "../dom.js";
import { media } from "./media.js";
import tap from "./tap.worklet.js?url";

/** Samples a second: what the models hear. */
export const RATE = 16_000;

/** So many samples are one window of the voice detector. */
export const WINDOW = 512;

/** The samples of a file that the browser can play. */
export async function decoded(file: Blob): Promise<Float32Array> {
  // It decodes beside the page's thread, and gives the rate that the context has.
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("this file is no sound that the browser can read");
  });
  if (sound.numberOfChannels === 1) return sound.getChannelData(0).slice();
  const mixed = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((sample, index) => (mixed[index] = (mixed[index] ?? 0) + sample / sound.numberOfChannels));
  }
  return mixed;
}

/** A file that players play: 16 bits a sample. */
export function wav(samples: Float32Array): Blob {
  const header = new DataView(new ArrayBuffer(44));
  const text = (at: number, letters: string): void => [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, RATE, true);
  header.setUint32(28, RATE * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, samples.length * 2, true);
  const body = Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
  return new Blob([header, body], { type: "audio/wav" });
}

/** What the microphone hears, until the signal is aborted. */
export async function microphone(signal: AbortSignal, heard: (samples: Float32Array) => void): Promise<void> {
  const stream = await media({ audio: { channelCount: 1, noiseSuppression: false } });
  const context = new AudioContext({ sampleRate: RATE });
  try {
    await context.audioWorklet.addModule(tap);
    const node = new AudioWorkletNode(context, "tap", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => heard(data as Float32Array);
    context.createMediaStreamSource(stream).connect(node);
    if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    await context.close();
  }
}

/** Milliseconds between two drawings of a strip: windows of sound are heard faster than anybody looks. */
const PAUSE = 80;

/** What a strip shows. */
export interface Heard {
  readonly samples: Float32Array;
  /** How likely speech is, a number for each window from the first on. */
  readonly probabilities: readonly number[];
  /** In seconds. */
  readonly segments: readonly { readonly from: number; readonly to: number }[];
}

/** A strip: the wave, how likely speech is over it, and where it is taken for speech. */
export class Strip {
  readonly element: HTMLCanvasElement;
  #shown: Heard = { samples: new Float32Array(0), probabilities: [], segments: [] };
  #waiting = 0;

  constructor(label: string) {
    this.element = el("canvas", { class: "strip", role: "img", "aria-label": label });
    new ResizeObserver(() => this.#soon()).observe(this.element);
    addEventListener("theme", () => this.#soon());
  }

  /** Shows something else, in a moment. */
  show(heard: Partial<Heard>, label?: string): void {
    this.#shown = { ...this.#shown, ...heard };
    if (label !== undefined) this.element.setAttribute("aria-label", label);
    this.#soon();
  }

  #soon(): void {
    this.#waiting ||= window.setTimeout(() => requestAnimationFrame(() => {
      this.#waiting = 0;
      this.#draw();
    }), PAUSE);
  }

  #draw(): void {
    const made = sharp(this.element);
    if (!made) return;
    const { context, width, height } = made;
    const { samples, probabilities, segments } = this.#shown;
    const [quiet, line, mark, band] = colours("wave", "line", "accent", "band");
    const middle = height / 2;
    const x = (sample: number): number => (sample / Math.max(1, samples.length)) * width;
    context.fillStyle = band;
    for (const { from, to } of segments) context.fillRect(x(from * RATE), 0, x((to - from) * RATE), height);
    context.fillStyle = line;
    context.fillRect(0, middle - 0.5, width, 1);
    context.fillStyle = quiet;
    for (let column = 0; column < width && samples.length > 0; column++) {
      const [low, high] = extremes(samples, (column / width) * samples.length, ((column + 1) / width) * samples.length);
      context.fillRect(column, middle - high * middle * 0.92, 1, Math.max(1, (high - low) * middle * 0.92));
    }
    context.strokeStyle = mark;
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.beginPath();
    probabilities.forEach((probability, index) => context.lineTo(x((index + 0.5) * WINDOW), height - 2 - probability * (height - 4)));
    context.stroke();
  }
}

/** The least and the greatest of some samples; not all of many are looked at. */
function extremes(samples: Float32Array, from: number, to: number): [number, number] {
  let [low, high] = [0, 0];
  const step = Math.max(1, Math.floor((to - from) / 40));
  for (let at = Math.floor(from); at < to; at += step) {
    const sample = samples[at] ?? 0;
    if (sample < low) low = sample;
    if (sample > high) high = sample;
  }
  return [low, high];
}
