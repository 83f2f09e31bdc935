/**
 * What `Tensor.fromImage` makes of a picture, on the calling thread as onnxruntime-web does. Loaded with the first one.
 *
 * The way of this package is `images` of `compile`, which leaves the work to the worker.
 */

import { Failure } from "../engine/failure.js";
import { closeImage, imageTensor } from "../engine/image.js";
import { InferError } from "../errors.js";
import type { ImageLike, ImageSource } from "../image.js";
import type { ImagePlan, WireImage } from "../messages.js";

/** How a picture becomes a tensor `[1, 3, height, width]` of `float32`: `(value + bias) / mean`, by default from 0 to 1. */
export interface FromImageOptions {
  readonly resizedWidth?: number;
  readonly resizedHeight?: number;
  readonly tensorFormat?: "RGB" | "BGR";
  readonly tensorLayout?: "NCHW";
  readonly dataType?: "float32";
  /** A number, or one each for red, green and blue. */
  readonly norm?: { readonly mean?: number | readonly number[]; readonly bias?: number | readonly number[] };
}

/** The elements and extents. @throws InferError `invalid-input`, `unsupported` or `network` */
export async function elementsOf(image: ImageSource | string, options: FromImageOptions): Promise<{ data: Float32Array; dims: readonly number[] }> {
  const { tensorFormat: channels = "RGB", tensorLayout = "NCHW", dataType = "float32", norm = {}, resizedWidth, resizedHeight } = options;
  if (!["RGB", "BGR"].includes(channels) || tensorLayout !== "NCHW" || dataType !== "float32") {
    throw new InferError("unsupported", `a picture becomes float32 in NCHW, RGB or BGR, not ${dataType} in ${tensorLayout}, ${channels}`);
  }
  // Those options are of colours; what the worker takes is of channels.
  const each = (given: number | readonly number[]): readonly number[] => {
    const values = typeof given === "number" ? [given, given, given] : given.slice(0, 3);
    return channels === "BGR" ? [...values].reverse() : values;
  };
  const plan: ImagePlan = {
    type: "float32",
    layout: tensorLayout,
    channels,
    fit: "stretch",
    start: false,
    smoothing: "low",
    pad: [0, 0, 0],
    mean: each(norm.bias ?? 0).map((bias) => -bias),
    scale: each(norm.mean ?? 255),
    ...(resizedWidth && { width: resizedWidth }),
    ...(resizedHeight && { height: resizedHeight }),
  };
  const wire: WireImage = { type: "image", pixels: await pixelsOf(image), plan };
  try {
    const { data, dims } = imageTensor(wire);
    return { data: new Float32Array(data as ArrayBuffer), dims };
  } catch (error) {
    throw error instanceof Failure ? new InferError(error.code, error.message) : error;
  } finally {
    closeImage(wire);
  }
}

async function pixelsOf(image: ImageSource | string): Promise<WireImage["pixels"]> {
  if (typeof image === "object" && "data" in image) {
    const { data, width, height } = image as ImageLike;
    if (data.length !== width * height * 4) {
      throw new InferError("invalid-input", `a picture of ${width} × ${height} pixels has 4 bytes for each, not ${data.length} in all`);
    }
    return { data: Uint8Array.from(data).buffer, width, height };
  }
  if (typeof createImageBitmap !== "function") throw new InferError("unsupported", "here a picture is { data, width, height }");
  const source = typeof image === "string" ? await fetched(image) : image;
  try {
    return await createImageBitmap(source as ImageBitmapSource);
  } catch (cause) {
    throw new InferError("invalid-input", `the picture cannot be read: ${(cause as Error).message}`, { cause });
  }
}

async function fetched(address: string): Promise<Blob> {
  try {
    const response = await fetch(address);
    if (response.ok) return await response.blob();
    throw new Error(`${response.status} ${response.statusText}`.trim());
  } catch (cause) {
    throw new InferError("network", `${address} could not be fetched: ${(cause as Error).message}`, { cause });
  }
}
