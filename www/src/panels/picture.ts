/**
 * A picture on the stage, with what was found drawn over it, and pictures as pixels.
 *
 * The canvas has the extents of the picture, and the style sheet makes it fit; so what is found is drawn in the pixels it was
 * found in. A place is kept free for it before there is one.
 */

import { el } from "../dom.js";
import { Pace } from "../flows/pace.js";

/** Pictures are made smaller than this before anything is done to them: the models look at less. */
const LONGEST = 1600;

/** So many rows of a picture are fetched at once. */
const BAND = 128;

/** A canvas for a picture. */
export class PictureView {
  readonly element: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  #picture: ImageBitmap | undefined;
  #isTaken = false;
  /** How wide it is seen, in CSS pixels. It is told and never asked for: who asks makes the browser lay out the page at once. */
  #seen = 0;

  constructor(label: string, width: number, height: number) {
    this.#canvas = el("canvas", { width, height, role: "img", "aria-label": label });
    this.element = el("div", { class: "picture" }, this.#canvas);
    new ResizeObserver((entries) => {
      for (const { contentRect } of entries) this.#seen = contentRect.width;
    }).observe(this.#canvas);
  }

  /** Shows a picture and nothing on it. What was shown before is freed. */
  show(picture: ImageBitmap, label: string): void {
    this.#isTaken = true;
    this.#picture?.close();
    this.#picture = picture;
    this.#canvas.setAttribute("aria-label", label);
    Object.assign(this.#canvas, { width: picture.width, height: picture.height });
    this.draw(() => undefined);
  }

  /** Shows a picture when it comes, unless another has been shown meanwhile. */
  async begin(coming: Promise<ImageBitmap>, label: string): Promise<void> {
    const picture = await coming.catch(() => undefined);
    if (!picture) return;
    if (this.#isTaken) picture.close();
    else this.show(picture, label);
  }

  /** Shows a film with an empty canvas over it, which has the extents of its frames. */
  film(video: HTMLVideoElement, label: string): void {
    this.#isTaken = true;
    this.#picture?.close();
    this.#picture = undefined;
    this.element.prepend(video);
    this.#canvas.setAttribute("aria-label", label);
    Object.assign(this.#canvas, { width: video.videoWidth || 640, height: video.videoHeight || 480 });
  }

  /** Draws over the picture. `unit` is the width of a line that is seen well, in pixels of the picture. */
  draw(over: (context: CanvasRenderingContext2D, unit: number) => void): void {
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    const { width, height } = this.#canvas;
    if (this.#picture) context.drawImage(this.#picture, 0, 0);
    else context.clearRect(0, 0, width, height);
    over(context, Math.max(1, width / (this.#seen || width)) * 2);
  }

  /** Says what is to be seen, for those who do not see it. */
  label(text: string): void {
    this.#canvas.setAttribute("aria-label", text);
  }
}

/** A picture out of a file, upright, and not larger than needed. */
export async function bitmap(file: Blob): Promise<ImageBitmap> {
  const whole = await createImageBitmap(file).catch(() => {
    throw new Error("this file is no picture that the browser can read");
  });
  const scale = LONGEST / Math.max(whole.width, whole.height);
  if (scale >= 1) return whole;
  const smaller = await createImageBitmap(whole, {
    resizeWidth: Math.round(whole.width * scale), resizeHeight: Math.round(whole.height * scale), resizeQuality: "high",
  });
  whole.close();
  return smaller;
}

/** The pixels of a picture, fetched band by band: all at once would hold up the page. */
export async function pixels(picture: ImageBitmap): Promise<ImageData> {
  const { width, height } = picture;
  const whole = new ImageData(width, height);
  const rows = Math.min(height, BAND);
  const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser draws no pictures");
  const pace = new Pace();
  for (let top = 0; top < height; top += rows) {
    context.clearRect(0, 0, width, rows);
    context.drawImage(picture, 0, -top);
    whole.data.set(context.getImageData(0, 0, width, Math.min(rows, height - top)).data, top * width * 4);
    if (pace.isLate) await pace.give();
  }
  return whole;
}

/** Samples that were fetched, together less than a megabyte: each fetch is the work of three threads beside the page's. */
const samples = new Map<string, Blob>();

/** A sample of this page's. */
export async function sample(name: string, signal?: AbortSignal): Promise<Blob> {
  const known = samples.get(name);
  if (known) return known;
  const answer = await fetch(new URL(`samples/${name}`, document.baseURI), signal ? { signal } : {});
  if (!answer.ok) throw new Error(`the sample ${name} could not be fetched (${answer.status})`);
  const blob = await answer.blob();
  samples.set(name, blob);
  return blob;
}

/** The way around some places, closed. */
export function outline(context: CanvasRenderingContext2D, places: readonly { readonly x: number; readonly y: number }[]): void {
  context.beginPath();
  for (const { x, y } of places) context.lineTo(x, y);
  context.closePath();
  context.stroke();
}
