/**
 * Hear speech: where somebody speaks, window by window, and speech without its noise, to be listened to before and after.
 */

import { denoiser, voiceDetector } from "../flows/index.js";
import { button, chooser, droppable, el } from "../dom.js";
import { many, ms } from "../numbers.js";
import { recorded, tell } from "../paint/easel.js";
import { Opener, type Session } from "../session.js";
import { Frame, type Panel } from "./frame.js";
import { sample } from "./picture.js";
import { RATE, Strip, WINDOW, decoded, microphone } from "./sound.js";

/** So many windows of the microphone are shown: about ten seconds. */
const SHOWN = 312;

const CODE = `const model = await compile("vad.onnx", { state: { state: "stateN" } });
const request = model.createInferRequest();        // it keeps its state
for (const window of windows(samples)) {
  const { output } = await request.infer({ input: window }, { signal });
}
request.resetState();`;

/** The panel. */
export default function speechPanel(session: Session): Panel {
  const frame = new Frame(session, {
    id: "speech",
    title: "Hear speech",
    lead: "A recurrent model hears 32 ms at a time and remembers what was before. Two more take the noise out of a recording.",
    ready: "Models of 1.3 MB and 4.0 MB are fetched at the first press, and kept.",
    models: ["Silero VAD, 16 kHz (MIT), 1.3 MB", "DTLN, two models (MIT), 4.0 MB"],
    code: CODE,
  });
  frame.element.classList.add("stacked");
  const strip = new Strip("The sound, and how likely it is that somebody speaks");
  const spans = el("ol", { class: "spans", "aria-label": "Where somebody speaks" });
  const noisy = new Strip("The recording as it was");
  const clean = new Strip("The recording without its noise");
  const [before, after] = [player("Before"), player("After")];
  const noise = el("div", { class: "tools" });
  frame.stage.append(
    el("div", { class: "block" }, el("div", { class: "over" }, el("h3", {}, "Speech"), spans), strip.element, key()),
    el("div", { class: "block pair" },
      el("div", { class: "over whole" }, el("h3", {}, "Noise"), noise),
      el("div", {}, el("h4", {}, "Before"), noisy.element, before),
      el("div", {}, el("h4", {}, "After"), clean.element, after)));
  const detectors = new Opener(session, voiceDetector);
  const denoisers = new Opener(session, denoiser);

  const detect = (load: (signal: AbortSignal) => Promise<Blob>): Promise<void> => frame.run(async (signal) => {
    const samples = await decoded(await load(signal));
    const probabilities: number[] = [];
    spans.replaceChildren();
    strip.show({ samples, probabilities, segments: [] });
    const detector = await detectors.get(signal, frame.opening());
    frame.say("Listening …");
    const windows = Math.floor(samples.length / WINDOW);
    const began = performance.now();
    const { segments } = await detector.detect(samples, {
      signal,
      onwindow: (index, probability) => {
        probabilities[index] = probability;
        strip.show({ probabilities });
        frame.progress((index + 1) / windows);
      },
    });
    const took = performance.now() - began;
    strip.show({ segments }, `The sound; somebody speaks ${segments.map(({ from, to }) => `from ${from.toFixed(2)} to ${to.toFixed(2)} seconds`).join(" and ") || "nowhere"}`);
    spans.replaceChildren(...segments.map(({ from, to }) => el("li", {}, `${from.toFixed(2)} – ${to.toFixed(2)} s`)));
    return `${many(segments.length, "stretch", "stretches")} of speech in ${(samples.length / RATE).toFixed(1)} s of sound, heard in ${ms(took)}`;
  });

  const listen = (): Promise<void> => frame.run(async (signal) => {
    const detector = await detectors.get(signal, frame.opening());
    frame.progress(undefined);
    frame.say("Asking for the microphone …");
    const hearing = detector.stream();
    let samples = new Float32Array(SHOWN * WINDOW);
    let probabilities: number[] = [];
    spans.replaceChildren();
    frame.element.dataset["microphone"] = "on";
    let failed: unknown;
    const stop = new AbortController();
    try {
      await microphone(AbortSignal.any([signal, stop.signal]), (heard) => {
        samples = shifted(samples, heard);
        hearing.push(heard).then((likely) => {
          if (signal.aborted) return;
          // What is not heard yet is at the right, so the newest window is the last one.
          probabilities = [...probabilities, ...likely].slice(-SHOWN);
          const missing = new Array<number>(SHOWN - probabilities.length).fill(0);
          strip.show({ samples, probabilities: [...missing, ...probabilities], segments: [] });
          frame.say((probabilities.at(-1) ?? 0) >= 0.5 ? "Somebody speaks. Cancel stops the microphone." : "Silence. Cancel stops the microphone.");
        }, (error: unknown) => {
          if (!signal.aborted) failed = error;
          stop.abort();
        });
      });
      if (failed) throw failed;
      return "The microphone is off.";
    } finally {
      delete frame.element.dataset["microphone"];
      hearing.dispose();
    }
  });

  const suppress = (load: (signal: AbortSignal) => Promise<Blob>): Promise<void> => frame.run(async (signal) => {
    const samples = await decoded(await load(signal));
    noisy.show({ samples });
    clean.show({ samples: new Float32Array(samples.length) });
    play(before, await recorded(samples, RATE));
    play(after, undefined);
    const cleaner = await denoisers.get(signal, frame.opening());
    frame.say("Taking the noise out …");
    const began = performance.now();
    const done = await cleaner.clean(samples, { signal, onblock: (done, total) => frame.progress(done / total) });
    const took = performance.now() - began;
    clean.show({ samples: done });
    play(after, await recorded(done, RATE));
    const length = samples.length / RATE;
    return `${length.toFixed(1)} s of sound cleaned in ${ms(took)}: ${(length / (took / 1000)).toFixed(1)} times as fast as it plays`;
  });

  const own = (file: File): void => void detect(async () => file);
  frame.actions.append(
    button("Hear the sample", "primary", () => void detect((signal) => sample("speech.wav", signal))),
    button("Use the microphone", "plain", () => void listen()),
    chooser("Choose a sound", "audio/*", own),
    el("span", { class: "hint" }, "or drop one here"),
  );
  noise.append(
    button("Take the noise out of a sample", "plain", () => void suppress((signal) => sample("noisy.wav", signal))),
    chooser("Choose a noisy one", "audio/*", (file) => void suppress(async () => file)),
  );
  droppable(frame.element, own);
  return { element: frame.element, hidden: () => frame.element.dataset["microphone"] && frame.stop() };
}

/** What the colours of the strip mean. */
function key(): HTMLElement {
  const one = (kind: string, text: string): HTMLElement => el("li", {}, el("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text);
  return el("ul", { class: "key" }, one("wave", "sound"), one("accent", "how likely speech is"), one("band", "taken for speech"));
}

function player(label: string): HTMLAudioElement {
  return el("audio", { controls: true, "aria-label": label, preload: "metadata" });
}

/** Gives a player something to play, and frees what it had. */
function play(player: HTMLAudioElement, address: string | undefined): void {
  const before = player.getAttribute("src");
  if (before) tell({ kind: "forget", address: before });
  // What it is given it loads by itself; what is taken from it, it has to be told to let go.
  if (address) player.src = address;
  else {
    player.removeAttribute("src");
    if (before) player.load();
  }
}

/** The samples moved to the left by new ones. */
function shifted(samples: Float32Array<ArrayBuffer>, heard: Float32Array): Float32Array<ArrayBuffer> {
  const moved = new Float32Array(samples.length);
  moved.set(samples.subarray(heard.length));
  moved.set(heard, samples.length - heard.length);
  return moved;
}
