/**
 * Pictures as inputs: what a program declares, and what is sent of a picture. The pixels are worked on where the model runs.
 *
 * This file is loaded with the first model that declares such inputs.
 */

import { InferError } from "./errors.js";
import type { ElementType, ImagePlan, PortInfo, Rectangle, WireImage } from "./messages.js";
import { type Feed, type Packed, copied, show } from "./tensor.js";

export type { Rectangle } from "./messages.js";

/** A type of the browser's, where there is one. */
type Native<Name extends string> = typeof globalThis extends { [key in Name]: { prototype: infer T } } ? T : never;

/** Pixels in memory: an `ImageData`, or what looks like one. Four bytes a pixel, red, green, blue and alpha, which is not used. */
export interface ImageLike {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
}

/**
 * What holds a picture. In Node only {@link ImageLike}.
 *
 * An `ImageData` gives the same numbers everywhere. The others are drawn by the browser: without resizing exactly, else with
 * its filter. A `Blob` is a file of a picture, which the browser decodes.
 */
export type ImageSource =
  | ImageLike | Blob | Native<"ImageBitmap"> | Native<"VideoFrame"> | Native<"OffscreenCanvas"> | Native<"HTMLImageElement">
  | Native<"HTMLCanvasElement"> | Native<"HTMLVideoElement"> | Native<"SVGImageElement">;

/** A part of a picture: of this run, where {@link Preprocess.crop} is that of all. */
export interface ImageRegion {
  readonly image: ImageSource;
  /** In pixels of the picture; may reach beyond it, into `pad`, and begin between two pixels. */
  readonly crop: Rectangle;
}

/** What an input with declared preprocessing takes besides tensors. */
export type ImageFeed = ImageSource | ImageRegion;

/**
 * What is done to a picture before it is an input. The steps, in this order: crop, resize to the input's extents, order the
 * channels, `(value - mean) / scale` with values from 0 to 255, convert to the input's type (`float32`, `float16`, or `uint8`,
 * for which it is rounded and kept within 0 to 255), lay out.
 */
export interface Preprocess {
  /** The part that is taken, in pixels of the picture; all when it is missing. */
  readonly crop?: Rectangle | undefined;
  /**
   * How a picture of another shape is made to fit: `stretch` (the default) to both extents; `contain` shows all of it, with
   * `pad` at the sides; `cover` fills everything and cuts off what is too much, at both sides alike.
   */
  readonly resize?: "stretch" | "contain" | "cover" | undefined;
  /** For `contain`: whether the picture is in the middle (the default), or begins at the left and the top. */
  readonly align?: "centre" | "start" | undefined;
  /** What is where no picture is: red, green and blue from 0 to 255, or one number for all. Black by default. */
  readonly pad?: number | readonly number[] | undefined;
  /** Extents, where the input's own are open. Without them, those of the picture (or of its crop). */
  readonly width?: number | undefined;
  /** See `width`. */
  readonly height?: number | undefined;
  /** The order of the input's dimensions (`N` 1, `C` channels); by default seen from its extents. */
  readonly layout?: "NCHW" | "NHWC" | "CHW" | "HWC" | "NHW" | "HW" | undefined;
  /** By default `RGB`, and `gray` (ITU-R 601) when the input has one channel. */
  readonly channels?: "RGB" | "BGR" | "gray" | undefined;
  /** Subtracted: a number, or one for each channel in the order of `channels`. 0 by default. */
  readonly mean?: number | readonly number[] | undefined;
  /** Divided by; as `mean`. 1 by default; 255 makes numbers from 0 to 1. */
  readonly scale?: number | readonly number[] | undefined;
  /**
   * The filter that the browser resizes with: `off` takes the nearest pixel, `low` (the default) is the nearest to bilinear,
   * `medium` and `high` look at more pixels when they make smaller. An `ImageData` is always resized bilinearly.
   */
  readonly smoothing?: "off" | "low" | "medium" | "high" | undefined;
}

/** Preprocessing by the names of inputs. */
export type ImagesOption = Readonly<Record<string, Preprocess>>;

/** A picture as it was when it was given, and nobody else's. */
class Snapshot {
  constructor(
    readonly pixels: WireImage["pixels"],
    readonly crop: Rectangle | undefined,
    readonly transfer: Transferable[],
  ) {}
}

/** The inputs of a model that take pictures. */
export class ImageInputs {
  readonly #plans: ReadonlyMap<string, ImagePlan>;
  /** Runs begin in the order in which they were asked for, however long their pictures take. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** @throws InferError `not-found`, `unsupported` or `invalid-input`, naming the input. */
  constructor(ports: readonly PortInfo[], option: ImagesOption) {
    this.#plans = new Map(
      Object.entries(option).map(([name, preprocess]) => {
        const index = ports.findIndex((port) => port.name === name);
        const port = ports[index];
        if (!port) {
          const there = ports.map((port) => JSON.stringify(port.name)).join(", ");
          throw new InferError("not-found", `no input ${JSON.stringify(name)} for pictures; there is: ${there}`);
        }
        return [name, planOf(port, index, preprocess)];
      }),
    );
  }

  /** Whether this is a picture, for an input that takes them. */
  takes(port: PortInfo, feed: Feed): feed is ImageFeed {
    return this.#plans.has(port.name) && (feed instanceof Snapshot || isImage(part(feed).image));
  }

  /**
   * The inputs with all pictures as they are now; `undefined` when there is nothing to wait for, and {@link pack} can copy them.
   * With `move`, bitmaps, frames and canvases are emptied rather than copied.
   */
  settle(inputs: ReadonlyMap<string, Feed>, move: boolean): Promise<Map<string, Feed>> | undefined {
    const slow = [...inputs].filter(([name, feed]) => this.#plans.has(name) && !isQuick(part(feed).image, move));
    if (slow.length === 0 && this.#waiting === 0) return undefined;
    const taken = [...inputs].map(async ([name, feed]): Promise<[string, Feed]> => {
      const { image, crop } = part(feed);
      if (!this.#plans.has(name) || !isImage(image)) return [name, feed];
      // The others are copied now, too: they may have changed when the slow ones are there.
      const snapshot = isQuick(image, move) ? quick(image, crop, move) : await slowly(name, image, crop);
      return [name, snapshot as unknown as Feed];
    });
    const all = Promise.allSettled(taken).then((ends) => {
      const failed = ends.find((end) => end.status === "rejected");
      const settled = ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
      if (!failed) return new Map(settled);
      for (const [, feed] of settled) forget(feed);
      throw failed.reason;
    });
    // It may fail long before it is its turn.
    all.catch(() => undefined);
    const mine = this.#last.then(() => all).finally(() => this.#waiting--);
    this.#waiting++;
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  /** What is sent for a picture; `undefined` when it is none. */
  pack(port: PortInfo, feed: Feed, move: boolean): Packed | undefined {
    const plan = this.#plans.get(port.name);
    if (!plan || !this.takes(port, feed)) return undefined;
    const { image, crop } = part(feed);
    const { pixels, crop: own = plan.crop, transfer } = feed instanceof Snapshot ? feed : quick(image as ImageSource, crop, move);
    return { tensor: { type: "image", pixels, plan, ...(own && { crop: own }) }, transfer };
  }

  /** Lets go of pictures that are not sent after all. */
  forget(inputs: ReadonlyMap<string, Feed>): void {
    for (const feed of inputs.values()) forget(feed);
  }
}

function forget(feed: unknown): void {
  if (feed instanceof Snapshot && "close" in feed.pixels) feed.pixels.close();
}

/** The picture of a feed, and the part of it that is meant. */
function part(feed: unknown): { image: unknown; crop?: Rectangle } {
  const region = feed as Partial<ImageRegion> | null | undefined;
  const isRegion = typeof region === "object" && region !== null && region.image !== undefined && region.crop !== undefined;
  return isRegion ? { image: region.image, crop: region.crop as Rectangle } : { image: feed };
}

const SLOW = ["ImageBitmap", "OffscreenCanvas", "HTMLImageElement", "HTMLCanvasElement", "HTMLVideoElement", "SVGImageElement", "Blob"];

function isImage(value: unknown): value is ImageSource {
  return isLike(value) || is("VideoFrame", value) || SLOW.some((name) => is(name, value));
}

/** Whether it can be copied, or moved, without waiting. */
function isQuick(value: unknown, move: boolean): boolean {
  return !isImage(value) || isLike(value) || is("VideoFrame", value) || move && (is("ImageBitmap", value) || is("OffscreenCanvas", value));
}

function is(name: string, value: unknown): boolean {
  const type = (globalThis as Record<string, unknown>)[name];
  return typeof type === "function" && value instanceof type;
}

function isLike(value: unknown): value is ImageLike {
  const { data, width, height } = (value ?? {}) as Partial<ImageLike>;
  const isBytes = data instanceof Uint8ClampedArray || data instanceof Uint8Array;
  return isBytes && typeof width === "number" && typeof height === "number";
}

function quick(image: ImageSource, crop: Rectangle | undefined, move: boolean): Snapshot {
  if (isLike(image)) {
    const { data, width, height } = image;
    if (!(width > 0 && height > 0) || data.length !== width * height * 4) {
      const moved = data.length === 0 ? ", or was moved away by an earlier run" : "";
      throw new InferError("invalid-input", `a picture of ${width} × ${height} pixels has 4 bytes for each, not ${data.length} in all${moved}`);
    }
    const whole = data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer;
    const bytes = move && whole ? (data.buffer as ArrayBuffer) : copied(data);
    return new Snapshot({ data: bytes, width, height }, crop, [bytes]);
  }
  try {
    const moved = is("OffscreenCanvas", image) ? (image as OffscreenCanvas).transferToImageBitmap() : (image as ImageBitmap | VideoFrame);
    // Another name for the same picture: nothing is copied.
    const pixels = !move && is("VideoFrame", moved) ? (moved as VideoFrame).clone() : moved;
    return new Snapshot(pixels, crop, [pixels]);
  } catch (cause) {
    throw new InferError("in-use", `the picture is closed: ${(cause as Error).message}`, { cause });
  }
}

async function slowly(name: string, image: ImageSource, crop: Rectangle | undefined): Promise<Snapshot> {
  if (typeof createImageBitmap !== "function") {
    throw new InferError("unsupported", `here ${JSON.stringify(name)} takes tensors and pixels ({ data, width, height }), no other pictures`);
  }
  try {
    const bitmap = await createImageBitmap(image as ImageBitmapSource);
    return new Snapshot(bitmap, crop, [bitmap]);
  } catch (cause) {
    throw new InferError("invalid-input", `the picture of ${JSON.stringify(name)} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

const TYPES: readonly ElementType[] = ["float32", "float16", "uint8"];

/** What a worker has to know. */
function planOf(port: PortInfo, index: number, preprocess: Preprocess): ImagePlan {
  const refuse = (why: string): InferError => new InferError("invalid-input", `${show("input", index, port)} for pictures: ${why}`);
  if (!TYPES.includes(port.type)) {
    throw new InferError("unsupported", `${show("input", index, port)} is ${port.type}; pictures can be ${TYPES.join(", ")}`);
  }
  const layout = preprocess.layout ?? guessed(port.dims);
  const dims = port.dims ?? (layout && new Array<null>(layout.length).fill(null));
  if (!layout || !dims) throw refuse("its extents do not say which are the channels, the rows and the columns: declare its layout");
  const extent = (letter: string): number | undefined => (layout.includes(letter) ? dims[layout.indexOf(letter)] ?? undefined : undefined);
  if (dims.length !== layout.length) throw refuse(`it has ${dims.length} dimensions, which are not ${layout}`);
  if ((extent("N") ?? 1) !== 1) throw refuse(`it takes ${extent("N")} pictures at once; give it a tensor`);
  const deep = extent("C") ?? (layout.includes("C") ? undefined : 1);
  const { channels = deep === 1 ? "gray" : "RGB" } = preprocess;
  if (deep !== undefined && deep !== (channels === "gray" ? 1 : 3)) throw refuse(`it has ${deep} channels, which are not ${channels}`);
  const count = channels === "gray" ? 1 : 3;
  const each = (what: string, given: number | readonly number[] | undefined, otherwise: number, many: number): readonly number[] => {
    const values = typeof given === "object" ? given : new Array<number>(many).fill(given ?? otherwise);
    const fine = values.length === many && values.every((value) => Number.isFinite(value) && !(what === "scale" && value === 0));
    if (!fine) throw refuse(`${what} is a number or ${many} of them, not ${JSON.stringify(given)}`);
    return values;
  };
  const size = (letter: "W" | "H", name: "width" | "height"): number | undefined => {
    const [own, asked] = [extent(letter), preprocess[name]];
    const fine = asked === undefined || Number.isInteger(asked) && asked > 0 && (own === undefined || own === asked);
    if (!fine) throw refuse(`its ${name} is ${own ?? "a whole number from 1 on"}, not ${asked}`);
    return own ?? asked;
  };
  const [width, height] = [size("W", "width"), size("H", "height")];
  const { crop, resize = "stretch", align = "centre", smoothing = "low" } = preprocess;
  for (const [name, value, values] of [
    ["resize", resize, ["stretch", "contain", "cover"]],
    ["align", align, ["centre", "start"]],
    ["smoothing", smoothing, ["off", "low", "medium", "high"]],
    ["channels", channels, ["RGB", "BGR", "gray"]],
  ] as const) {
    if (!(values as readonly string[]).includes(value)) throw refuse(`${name} is one of ${values.join(", ")}, not ${JSON.stringify(value)}`);
  }
  return {
    type: port.type,
    layout,
    channels,
    fit: resize,
    start: align === "start",
    smoothing,
    pad: each("pad", preprocess.pad, 0, 3),
    mean: each("mean", preprocess.mean, 0, count),
    scale: each("scale", preprocess.scale, 1, count),
    ...(width && { width }),
    ...(height && { height }),
    ...(crop && { crop }),
  };
}

/** Channels are 1 or 3, and stand before or behind the rows and columns. */
function guessed(dims: PortInfo["dims"]): Preprocess["layout"] {
  if (dims === null) return undefined;
  const deep = (extent: number | null | undefined): boolean => extent === 1 || extent === 3;
  if (dims.length === 2) return "HW";
  if (dims.length !== 3 && dims.length !== 4) return undefined;
  const [first, last] = [deep(dims.at(-3)), deep(dims.at(-1))];
  if (first === last) return undefined;
  const batch = dims.length === 4 ? "N" : "";
  return `${batch}${first ? "CHW" : "HWC"}` as Preprocess["layout"];
}
