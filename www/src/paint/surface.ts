/**
 * A canvas as sharp as the screen, whose extents are told and never asked for: who asks an element makes the browser lay out the page.
 */

import type { Look } from "./messages.js";

/** A canvas with a context. */
export class Surface {
  readonly #canvas: OffscreenCanvas | HTMLCanvasElement;
  readonly #context: OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D | null;
  #size = { width: 0, height: 0, scale: 1 };
  look: Look = {};

  constructor(canvas: OffscreenCanvas | HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d") as OffscreenCanvasRenderingContext2D | null;
  }

  /** Extents in CSS pixels, and how many pixels of the screen each has. */
  resize(width: number, height: number, scale: number): void {
    this.#size = { width, height, scale };
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.#canvas.width !== wide || this.#canvas.height !== high) Object.assign(this.#canvas, { width: wide, height: high });
  }

  /** Paints it anew, if there is anything to paint on. `colour` gives what the style sheet says. */
  paint(painting: (context: OffscreenCanvasRenderingContext2D, size: { readonly width: number; readonly height: number }, colour: (name: string) => string) => void): void {
    const { width, height, scale } = this.#size;
    const context = this.#context as OffscreenCanvasRenderingContext2D | null;
    if (!context || width === 0 || height === 0) return;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    painting(context, this.#size, (name) => this.look[name] ?? "gray");
  }
}
