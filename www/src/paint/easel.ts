/**
 * The page's side of the painter: canvases as elements, whose extents and colours the painter is told when they change.
 */

import { el } from "../dom.js";
import type { Figures, Look, Picture, Recorded, ToPainter } from "./messages.js";
import { Painter } from "./painter.js";

/** The colours that are painted with, by the names of their properties. */
const COLOURS = ["line", "accent", "band", "wave", "stage-queue", "stage-in", "stage-run", "stage-out", "stage-call", "cancelled", "failed"];

/** A canvas that the painter paints. */
export interface Easel {
  readonly element: HTMLCanvasElement;
  readonly id: number;
}

type Told = Exclude<ToPainter, { kind: "canvas" }>;

let made = 0;
let painter: Worker | Painter | undefined;
const asked: ((figures: Figures) => void)[] = [];
const recording = new Map<number, (address: string) => void>();
const offscreen = "transferControlToOffscreen" in HTMLCanvasElement.prototype;
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect: { width, height } } of entries) {
    const scale = Math.min(2, devicePixelRatio || 1);
    tell({ kind: "size", id: Number((target as HTMLElement).dataset["easel"]), width, height, scale });
  }
});

/** A canvas for a picture. */
export function easel(picture: Picture, attributes: Readonly<Record<string, string>>): Easel {
  const id = made++;
  const element = el("canvas", { ...attributes, "data-easel": id });
  const at = (painter ??= begun());
  if (at instanceof Painter) at.take(id, element, picture);
  else {
    const canvas = element.transferControlToOffscreen();
    at.postMessage({ kind: "canvas", id, canvas, picture } satisfies ToPainter, [canvas]);
  }
  sizes.observe(element);
  return { element, id };
}

/** Tells the painter something. Buffers that are named are moved. */
export function tell(message: Told, moved: Transferable[] = []): void {
  painter ??= begun();
  if (painter instanceof Painter) painter.handle(message);
  else painter.postMessage(message, moved);
}

/** Asks for the figures. */
export function figures(now: number): Promise<Figures> {
  const question = { kind: "figures", now } as const;
  painter ??= begun();
  if (painter instanceof Painter) return Promise.resolve(painter.handle(question) as Figures);
  const answer = new Promise<Figures>((resolve) => asked.push(resolve));
  painter.postMessage(question satisfies ToPainter);
  return answer;
}

/** Makes a file of samples, for a player; gives its address, which holds it until the painter is told to forget it. */
export function recorded(samples: Float32Array, rate: number): Promise<string> {
  const id = made++;
  painter ??= begun();
  const question = { kind: "record", id, samples, rate } as const;
  if (painter instanceof Painter) return Promise.resolve((painter.handle(question) as Recorded).address);
  const answer = new Promise<string>((resolve) => recording.set(id, resolve));
  painter.postMessage(question satisfies ToPainter);
  return answer;
}

function begun(): Worker | Painter {
  const colour = (): void => tell({ kind: "look", look: look() });
  addEventListener("theme", colour);
  const one = offscreen ? new Worker(new URL("./painter.worker.ts", import.meta.url), { type: "module", name: "painter" }) : new Painter();
  if (one instanceof Worker) {
    one.onmessage = ({ data }: MessageEvent<Figures | Recorded>) => {
      if (data.kind === "recorded") {
        recording.get(data.id)?.(data.address);
        recording.delete(data.id);
        return;
      }
      // It has one question at a time to answer, but for a page that asks faster than it is drawn.
      for (const resolve of asked.splice(0)) resolve(data);
    };
  }
  // The first of what it is told are its colours.
  painter = one;
  colour();
  return one;
}

function look(): Look {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
