/**
 * The painter: canvases in, and what there is to see on them, as messages. It works in a worker, and where a browser has no
 * canvases for workers, on the page's thread. It knows no element. Sounds for players are made here, too: a file in memory, and an
 * address for it, are words with another process, for which the page's thread would wait.
 */

import type { Figures, Heard, Look, Picture, Recorded, ToPainter } from "./messages.js";
import { Gaps, Runs } from "./store.js";
import { SPAN, paintGaps, paintSound } from "./strips.js";
import { Surface } from "./surface.js";
import { type View, paintTimeline } from "./timeline.js";
import { wav } from "./wav.js";

interface Canvas {
  readonly surface: Surface;
  /** Paints what was told last. */
  paint: () => void;
  heard: Heard;
}

const SILENCE: Heard = { samples: new Float32Array(0), rate: 1, window: 1, probabilities: [], segments: [] };

/** One for all canvases. */
export class Painter {
  readonly #canvases = new Map<number, Canvas>();
  readonly #runs = new Runs();
  readonly #gaps = new Gaps(SPAN);
  #look: Look = {};

  /** Takes a canvas. */
  take(id: number, canvas: OffscreenCanvas | HTMLCanvasElement, _: Picture): void {
    const surface = new Surface(canvas);
    surface.look = this.#look;
    this.#canvases.set(id, { surface, paint: () => undefined, heard: SILENCE });
  }

  /** Does what a message says; gives an answer to a question. */
  handle(message: Exclude<ToPainter, { kind: "canvas" }>): Figures | Recorded | undefined {
    switch (message.kind) {
      case "size":
        this.#canvases.get(message.id)?.surface.resize(message.width, message.height, message.scale);
        this.#canvases.get(message.id)?.paint();
        return undefined;
      case "look":
        this.#look = message.look;
        for (const { surface, paint } of this.#canvases.values()) {
          surface.look = message.look;
          paint();
        }
        return undefined;
      case "runs":
        this.#runs.add(message.ended, message.pending as Float64Array<ArrayBuffer>, message.now);
        return undefined;
      case "timeline":
        return this.#timeline(message.id, message);
      case "gaps": {
        this.#gaps.add(message.ticks, message.now);
        return this.#painted(message.id, ({ surface }) => paintGaps(surface, this.#gaps.ticks, message.now));
      }
      case "sound": {
        const canvas = this.#canvases.get(message.id);
        if (canvas) canvas.heard = { ...canvas.heard, ...message.heard };
        return this.#painted(message.id, ({ surface, heard }) => paintSound(surface, heard));
      }
      case "record":
        return { kind: "recorded", id: message.id, address: URL.createObjectURL(wav(message.samples, message.rate)) };
      case "forget":
        URL.revokeObjectURL(message.address);
        return undefined;
      case "figures": {
        const { stages, done } = this.#runs.durations();
        return { kind: "figures", gaps: this.#gaps.figures(), stages, done };
      }
    }
  }

  #timeline(id: number, { now, span, lanes }: View): undefined {
    return this.#painted(id, ({ surface }) => paintTimeline(surface, this.#runs, { now, span, lanes }));
  }

  #painted(id: number, painting: (canvas: Canvas) => void): undefined {
    const canvas = this.#canvases.get(id);
    if (!canvas) return;
    canvas.paint = () => painting(canvas);
    canvas.paint();
  }
}
