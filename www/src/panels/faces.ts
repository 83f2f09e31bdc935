/**
 * Find faces: in a picture, or in what the camera sees, of which only the latest frame matters.
 *
 * Every frame of the camera is handed over. One is looked at, one waits, and a newer one takes the place of the one that
 * waits: that is the queue's policy, and nothing here counts or skips.
 */

import { type Face, type FaceFinder, faceFinder } from "../flows/index.js";
import { button, chooser, colours, droppable, el } from "../dom.js";
import { many, ms } from "../numbers.js";
import { Opener, type Session, wasStopped } from "../session.js";
import { Frame, type Panel } from "./frame.js";
import { PictureView, bitmap, pixels, sample } from "./picture.js";
import { media } from "./media.js";

const CODE = `const model = await compile("blazeface.onnx", {
  slots: 1, queue: 1, overflow: "latest",   // only the newest frame matters
  images: { input: { resize: "contain", mean: 127.5, scale: 127.5 } },
});
video.requestVideoFrameCallback(async function each() {
  video.requestVideoFrameCallback(each);
  const result = await model.run({ input: video });
});`;

/** Frames a second are counted over so many milliseconds. */
const SPAN = 2000;

/** The panel. */
export default function facesPanel(session: Session): Panel {
  const frame = new Frame(session, {
    id: "faces",
    title: "Find faces",
    lead: "A picture, or the camera. Of the camera's frames only the latest is looked at; older ones that wait are displaced.",
    ready: "A model of 0.6 MB is fetched at the first press, and kept.",
    models: ["BlazeFace, back camera, 256 × 256 (Apache-2.0), 0.6 MB"],
    code: CODE,
  });
  const view = new PictureView("The sample: five faces of different sizes", 640, 480);
  const rate = el("dd", {}, "–");
  const displaced = el("dd", {}, "–");
  const count = el("dd", {}, "–");
  const list = el("ol", { class: "lines", "aria-label": "Faces that were found" });
  frame.stage.append(view.element);
  frame.results.append(el("h3", {}, "Faces"),
    el("dl", { class: "figures" },
      el("div", {}, el("dt", {}, "found"), count),
      el("div", {}, el("dt", {}, "frames a second"), rate),
      el("div", {}, el("dt", {}, "displaced"), displaced)), list);
  const opener = new Opener(session, faceFinder);

  const result = (faces: readonly Face[]): void => {
    draw(view, faces);
    count.textContent = String(faces.length);
    list.replaceChildren(...faces.map(item));
  };

  const find = (load: (signal: AbortSignal) => Promise<Blob>, what: string): Promise<void> => frame.run(async (signal) => {
    const picture = await bitmap(await load(signal));
    view.element.querySelector("video")?.remove();
    view.show(picture, what);
    result([]);
    const finder = await opener.get(signal, frame.opening());
    frame.progress(undefined);
    frame.say("Looking for faces …");
    // As pixels it gives the same numbers in every browser.
    const sent = await pixels(picture);
    const began = performance.now();
    const faces = await finder.find(sent, { signal, priority: session.settings.priority });
    const took = performance.now() - began;
    result(faces);
    view.label(`${what}, with ${many(faces.length, "face")} framed`);
    return `${many(faces.length, "face")} found in ${ms(took)}`;
  });

  const camera = (): Promise<void> => frame.run(async (signal) => {
    frame.say("Asking for the camera …");
    const stream = await media({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
    const off = (): void => stream.getTracks().forEach((track) => track.stop());
    try {
      const finder = await opener.get(signal, frame.opening());
      frame.progress(undefined);
      const video = el("video", { muted: true, playsinline: true, "aria-hidden": "true", tabindex: -1 });
      video.muted = true;
      video.srcObject = stream;
      await video.play();
      view.element.querySelector("video")?.remove();
      view.film(video, "The camera, with the faces framed");
      frame.say("The camera is on. Cancel stops it.");
      frame.element.dataset["camera"] = "on";
      await follow(video, finder, signal, (faces, figures) => {
        result(faces);
        rate.textContent = figures.rate.toFixed(0);
        displaced.textContent = String(figures.displaced);
      });
      return "The camera is off.";
    } finally {
      delete frame.element.dataset["camera"];
      off();
    }
  });

  const own = (file: File): void => void find(async () => file, file.name);
  frame.actions.append(
    button("Find faces in the sample", "primary", () => void find((signal) => sample("faces.png", signal), "The sample")),
    button("Use the camera", "plain", () => void camera()),
    chooser("Choose a picture", "image/*", own),
  );
  droppable(frame.element, own);
  void view.begin(sample("faces.png").then(bitmap), "The sample: five faces of different sizes");
  return { element: frame.element, hidden: () => frame.element.dataset["camera"] && frame.stop() };
}

interface Figures {
  readonly rate: number;
  readonly displaced: number;
}

/** Hands over frame after frame until it is stopped. */
function follow(video: HTMLVideoElement, finder: FaceFinder, signal: AbortSignal, found: (faces: readonly Face[], figures: Figures) => void): Promise<void> {
  let displaced = 0;
  let times: number[] = [];
  return new Promise((resolve, reject) => {
    const one = async (): Promise<void> => {
      const picture = await createImageBitmap(video);
      try {
        const faces = await finder.find(picture, { signal });
        const now = performance.now();
        times = [...times.filter((time) => time > now - SPAN), now];
        const seen = now - (times[0] ?? now);
        if (!signal.aborted) found(faces, { rate: seen > 0 ? ((times.length - 1) * 1000) / seen : 0, displaced });
      } catch (error) {
        const { code } = error as { code?: string };
        // Another policy may have been chosen: the one that is too many is then refused instead.
        if (code === "displaced" || code === "busy") displaced += 1;
        else if (!wasStopped(error)) reject(error);
        else resolve();
      } finally {
        picture.close();
      }
    };
    const each = (): void => {
      if (signal.aborted) return resolve();
      video.requestVideoFrameCallback(each);
      void one();
    };
    signal.addEventListener("abort", () => resolve(), { once: true });
    video.requestVideoFrameCallback(each);
  });
}

function draw(view: PictureView, faces: readonly Face[]): void {
  const [mark] = colours("mark");
  view.draw((context, unit) => {
    for (const { box, points } of faces) {
      context.lineWidth = unit * 1.3;
      context.strokeStyle = mark;
      context.beginPath();
      context.roundRect(box.x, box.y, box.width, box.height, unit * 3);
      context.stroke();
      context.fillStyle = "#fff";
      context.lineWidth = unit * 0.6;
      for (const { x, y } of points) {
        context.beginPath();
        context.arc(x, y, unit * 1.1, 0, 2 * Math.PI);
        context.fill();
        context.stroke();
      }
    }
  });
}

function item({ box, score }: Face): HTMLLIElement {
  return el("li", {}, el("span", { class: "text" }, `${Math.round(box.width)} × ${Math.round(box.height)} pixels`),
    el("span", { class: "facts" }, `score ${score.toFixed(3)}`));
}
