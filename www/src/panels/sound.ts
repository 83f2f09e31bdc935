/**
 * Sounds: out of files, out of the microphone, into players, and as a strip. One channel, 16 000 samples a second.
 */

import { Pace } from "../flows/pace.js";
import { type Easel, easel, tell } from "../paint/easel.js";
import type { Heard } from "../paint/messages.js";
import { media } from "./media.js";
import tap from "./tap.worklet.js?url";

/** Samples a second: what the models hear. */
export const RATE = 16_000;

/** So many samples are one window of the voice detector. */
export const WINDOW = 512;

/** After so many samples work looks whether others want the thread. */
const PIECE = 8192;

/** The samples of a file that the browser can play. */
export async function decoded(file: Blob): Promise<Float32Array> {
  // It decodes beside the page's thread, and gives the rate that the context has.
  const context = new OfflineAudioContext(1, 1, RATE);
  const sound = await context.decodeAudioData(await file.arrayBuffer()).catch(() => {
    throw new Error("this file is no sound that the browser can read");
  });
  if (sound.numberOfChannels === 1) return sound.getChannelData(0).slice();
  const mixed = new Float32Array(sound.length);
  const pace = new Pace();
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    const samples = sound.getChannelData(channel);
    for (let at = 0; at < samples.length; at++) {
      mixed[at]! += samples[at]! / sound.numberOfChannels;
      if (at % PIECE === 0 && pace.isLate) await pace.give();
    }
  }
  return mixed;
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

/** Milliseconds between two paintings of a strip: windows of sound are heard faster than anybody looks. */
const PAUSE = 80;

/** A strip: the wave, how likely speech is over it, and where it is taken for speech. */
export class Strip {
  readonly element: HTMLCanvasElement;
  readonly #easel: Easel;
  #shown: Partial<Heard> = {};
  #waiting = 0;

  constructor(label: string) {
    this.#easel = easel("sound", { class: "strip", role: "img", "aria-label": label });
    this.element = this.#easel.element;
    tell({ kind: "sound", id: this.#easel.id, heard: { rate: RATE, window: WINDOW } });
  }

  /** Shows something else, in a moment. */
  show(heard: Partial<Heard>, label?: string): void {
    this.#shown = { ...this.#shown, ...heard };
    if (label !== undefined) this.element.setAttribute("aria-label", label);
    this.#waiting ||= window.setTimeout(() => {
      this.#waiting = 0;
      // What was shown before, the painter has.
      tell({ kind: "sound", id: this.#easel.id, heard: this.#shown });
      this.#shown = {};
    }, PAUSE);
  }
}
