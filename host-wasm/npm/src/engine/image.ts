/**
 * Pictures into tensors: place, resize, order, scale.
 *
 * ```text
 *  pixels ── crop, fit ──▶ bytes RGBA, width × height ── a table of 256 values a channel ──▶ elements in their layout
 * ```
 *
 * Raw pixels are resized here, bilinearly, and so give the same numbers wherever this runs; bitmaps and frames are drawn by the
 * browser, whose filters differ by a few levels. In both, a pixel is a byte a channel before it is scaled. Nothing here knows
 * of models: the page has made a plan of what the port wants.
 */

import type { ElementType, ImagePlan, RawPixels, Rectangle, WireImage, WireTensor } from "../messages.js";
import { Failure } from "./failure.js";

/** Where a part of a picture goes. All in pixels; those of the source may lie between two. */
interface Placement {
  readonly width: number;
  readonly height: number;
  /** What is taken; nothing when it has no area. */
  readonly from: Rectangle;
  /** Where that goes. */
  readonly to: Rectangle;
}

/** The tensor of a picture. */
export function imageTensor({ pixels, crop, plan }: WireImage): WireTensor {
  const size = extents(pixels);
  const placement = place(plan, crop ?? { x: 0, y: 0, ...size }, size);
  const bytes = "data" in pixels ? resample(pixels, placement, plan.pad) : draw(pixels, placement, plan);
  return elements(bytes, placement, plan);
}

/** Lets go of what holds more than memory of this thread. */
export function closeImage({ pixels }: WireImage): void {
  if ("close" in pixels) pixels.close();
}

function extents(pixels: WireImage["pixels"]): { width: number; height: number } {
  const isFrame = "displayWidth" in pixels;
  return { width: isFrame ? pixels.displayWidth : pixels.width, height: isFrame ? pixels.displayHeight : pixels.height };
}

/** Where what is wanted lies, and where it goes. */
export function place(plan: Pick<ImagePlan, "width" | "height" | "fit" | "start">, crop: Rectangle, image: { width: number; height: number }): Placement {
  if (!(crop.width > 0 && crop.height > 0 && Number.isFinite(crop.x + crop.y + crop.width + crop.height))) {
    throw new Failure("invalid-input", `a part of a picture has an area, not ${crop.width} × ${crop.height} pixels`);
  }
  const { width = Math.max(1, Math.round(crop.width)), height = Math.max(1, Math.round(crop.height)) } = plan;
  let from = crop;
  let to: Rectangle = { x: 0, y: 0, width, height };
  const [across, down] = [width / crop.width, height / crop.height];
  if (plan.fit === "contain") {
    const scale = Math.min(across, down);
    const [w, h] = [Math.max(1, Math.round(crop.width * scale)), Math.max(1, Math.round(crop.height * scale))];
    const half = plan.start ? 0 : 2;
    to = { x: half && Math.floor((width - w) / half), y: half && Math.floor((height - h) / half), width: w, height: h };
  } else if (plan.fit === "cover") {
    const scale = Math.max(across, down);
    const [w, h] = [width / scale, height / scale];
    from = { x: crop.x + (crop.width - w) / 2, y: crop.y + (crop.height - h) / 2, width: w, height: h };
  }
  return { width, height, ...clip(from, to, image) };
}

/** Takes away what lies outside of the picture, here and there. */
function clip(from: Rectangle, to: Rectangle, image: { width: number; height: number }): Pick<Placement, "from" | "to"> {
  const [across, down] = [to.width / from.width, to.height / from.height];
  const [left, top] = [Math.max(0, from.x), Math.max(0, from.y)];
  const right = Math.min(image.width, from.x + from.width);
  const bottom = Math.min(image.height, from.y + from.height);
  const inside = { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
  return {
    from: inside,
    to: {
      x: to.x + (left - from.x) * across,
      y: to.y + (top - from.y) * down,
      width: inside.width * across,
      height: inside.height * down,
    },
  };
}

/** The latest canvas: the next picture is most likely of the same size. */
let canvas: OffscreenCanvas | undefined;

function draw(image: Exclude<WireImage["pixels"], RawPixels>, { width, height, from, to }: Placement, plan: ImagePlan): Uint8ClampedArray {
  try {
    if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    if (!context) throw new Error("there is no canvas of two dimensions");
    context.fillStyle = `rgb(${plan.pad.join(" ")})`;
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = plan.smoothing !== "off";
    if (plan.smoothing !== "off") context.imageSmoothingQuality = plan.smoothing;
    if (from.width > 0 && from.height > 0) {
      context.drawImage(image, from.x, from.y, from.width, from.height, to.x, to.y, to.width, to.height);
    }
    return context.getImageData(0, 0, width, height).data;
  } catch (error) {
    throw new Failure("invalid-input", `the picture cannot be drawn: ${(error as Error).message}`);
  }
}

/** Which pixels a row or column of the result lies between, and how near to the second. */
interface Taps {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly weight: Float64Array;
  /** Where the first of them goes. */
  readonly at: number;
}

function taps(from: number, length: number, to: number, size: number): Taps {
  const at = Math.round(to);
  const count = Math.max(0, Math.round(to + size) - at);
  const [low, high] = [Math.floor(from), Math.max(Math.floor(from), Math.ceil(from + length) - 1)];
  const made = { first: new Int32Array(count), second: new Int32Array(count), weight: new Float64Array(count), at };
  for (let index = 0; index < count; index++) {
    // Centres of pixels fall on centres.
    const place = Math.min(high, Math.max(low, from + ((at + index + 0.5 - to) * length) / size - 0.5));
    made.first[index] = Math.floor(place);
    made.second[index] = Math.min(high, Math.floor(place) + 1);
    made.weight[index] = place - Math.floor(place);
  }
  return made;
}

function resample({ data, width: stride }: RawPixels, { width, height, from, to }: Placement, pad: readonly number[]): Uint8ClampedArray {
  const source = new Uint8Array(data);
  const out = new Uint8ClampedArray(width * height * 4);
  for (let index = 0; index < out.length; index++) out[index] = pad[index & 3] ?? 255;
  const [columns, rows] = [taps(from.x, from.width, to.x, to.width), taps(from.y, from.height, to.y, to.height)];
  rows.first.forEach((above, y) => {
    const [first, second, down] = [above * stride, rows.second[y]! * stride, rows.weight[y]!];
    let target = ((rows.at + y) * width + columns.at) * 4;
    for (let x = 0; x < columns.first.length; x++) {
      const [left, right, across] = [columns.first[x]!, columns.second[x]!, columns.weight[x]!];
      for (let channel = 0; channel < 4; channel++) {
        const top = mix(source[(first + left) * 4 + channel]!, source[(first + right) * 4 + channel]!, across);
        const bottom = mix(source[(second + left) * 4 + channel]!, source[(second + right) * 4 + channel]!, across);
        out[target++] = Math.floor(mix(top, bottom, down) + 0.5);
      }
    }
  });
  return out;
}

function mix(a: number, b: number, weight: number): number {
  return a + (b - a) * weight;
}

/** Where each channel of the layouts lies among the bytes of a pixel. */
const ORDERS = { RGB: [0, 1, 2], BGR: [2, 1, 0] } as const;

/** Bytes into elements. */
function elements(bytes: Uint8ClampedArray, { width, height }: Placement, plan: ImagePlan): WireTensor {
  const { type, layout, channels } = plan;
  const count = channels === "gray" ? 1 : 3;
  const sizes: Record<string, number> = { N: 1, C: count, H: height, W: width };
  const dims = [...layout].map((letter) => sizes[letter] ?? 1);
  const area = width * height;
  const tables = Array.from({ length: count }, (_, channel) => table(plan, channel));
  const out = array(type, area * count);
  // Channels follow each other a pixel, or a plane.
  const [step, plane] = layout.endsWith("C") ? [count, 1] : [1, area];
  if (channels === "gray") {
    for (let pixel = 0, at = 0; pixel < area; pixel++, at += 4) {
      // As ITU-R 601 weighs them, in 16 bits: what PIL does too.
      const luma = (bytes[at]! * 19595 + bytes[at + 1]! * 38470 + bytes[at + 2]! * 7471 + 0x8000) >> 16;
      out[pixel] = tables[0]![luma]!;
    }
  } else {
    ORDERS[channels].forEach((from, channel) => {
      const values = tables[channel]!;
      for (let pixel = 0, target = channel * plane; pixel < area; pixel++, target += step) out[target] = values[bytes[pixel * 4 + from]!]!;
    });
  }
  return { type, dims, data: out.buffer };
}

type Elements = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

function array(type: ElementType, length: number): Elements {
  if (type === "float32") return new Float32Array(length);
  return type === "float16" ? new Uint16Array(length) : new Uint8Array(length);
}

/** What each of the 256 values of a byte becomes. */
function table({ type, mean, scale }: ImagePlan, channel: number): Elements {
  const values = array(type, 256);
  for (let byte = 0; byte < 256; byte++) {
    const value = (byte - mean[channel]!) / scale[channel]!;
    values[byte] = type === "float32" ? value : type === "float16" ? half(value) : Math.min(255, Math.max(0, Math.round(value)));
  }
  return values;
}

/** The bits of the nearest number of 16 bits, the even one of two. */
export function half(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  // In steps of the last of ten bits; one too many carries into the exponent by itself.
  const steps = even(size / 2 ** (exponent - 10));
  return sign | (size < 2 ** -14 ? steps : (exponent + 14) * 1024 + steps);
}

function even(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}
