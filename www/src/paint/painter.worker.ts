/**
 * The painter in a worker: its canvases reach the screen without the page's thread.
 */

import type { ToPainter } from "./messages.js";
import { Painter } from "./painter.js";

const painter = new Painter();

onmessage = ({ data }: MessageEvent<ToPainter>) => {
  if (data.kind === "canvas") return painter.take(data.id, data.canvas, data.picture);
  const answer = painter.handle(data);
  if (answer) postMessage(answer);
};
