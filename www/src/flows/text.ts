/**
 * The text in a picture: three models in a cascade.
 *
 * ```text
 *  picture ─▶ detector ─▶ boxes ─▶ which way up? ─▶ what does it say? ─▶ line 1
 *                           ├────▶ which way up? ─▶ what does it say? ─▶ line 2    as many at the same time as there are workers
 *                           └────▶ …
 * ```
 *
 * The cascade is a pipeline of the package: one signal holds for all of it, and the first error stops the other lines. Bytes
 * become numbers in the workers; here they are only cut out and straightened. The models are PP-OCRv6 tiny (detector,
 * recogniser) and PP-OCR mobile 2.0 (which way up).
 */

import { type Model, type Outputs, type Preprocess, each, pipeline } from "inferry";

import { Alphabet, type Reading } from "./alphabet.js";
import { straightened } from "./crop.js";
import { type Quad, heightOf, turned, widthOf } from "./geometry.js";
import { Models, open } from "./open.js";
import { Pace } from "./pace.js";
import { boxes } from "./regions.js";
import { release } from "./release.js";
import { resized } from "./resize.js";
import type { Bench, CallOptions, Pixels, ReadOptions, TextLine, TextReader } from "./types.js";

/** The longest side that the detector is given, and what its sides are multiples of. */
const LONGEST = 960;
const STEP = 32;
/** Height of a line as the two other models see it. */
const LINE = 48;
/** Width of what the second model sees. */
const TURNER = 192;
/** Least and greatest width of what the recogniser sees. Shorter lines are padded, longer ones squeezed. */
const SHORTEST = 320;
const WIDEST = 3200;
/** The second model is sure of a side from here on. */
const SURE = 0.9;
/** A box that is so many times as high as it is wide has its line from top to bottom, or from bottom to top. */
const TALL = 1.5;

/** The means and deviations of ImageNet, in the order that the detector was taught with: blue first. */
const DETECTOR: Preprocess = {
  channels: "BGR",
  mean: [0.485 * 255, 0.456 * 255, 0.406 * 255],
  scale: [0.229 * 255, 0.224 * 255, 0.225 * 255],
};
/** From -1 to 1. */
const READER: Preprocess = { channels: "BGR", mean: 127.5, scale: 127.5 };

/** The three models, and the characters. */
interface Parts {
  readonly detector: Model;
  readonly turner: Model;
  readonly reader: Model;
  readonly alphabet: Alphabet;
}

/** Opens the reader. */
export async function textReader(bench: Bench): Promise<TextReader> {
  const wanted = [
    { name: "ppocr/det.onnx", options: { images: { x: DETECTOR } } },
    { name: "ppocr/cls.onnx", options: { images: { x: READER } } },
    { name: "ppocr/rec.onnx", options: { images: { x: READER } } },
  ];
  const { opened, texts } = await open(bench, wanted, ["ppocr/keys.txt"]);
  const [detector, turner, reader] = opened.map(({ model }) => model) as [Model, Model, Model];
  const parts = { detector, turner, reader, alphabet: new Alphabet(texts[0]) };
  const models = new Models(opened);
  return {
    models: opened,
    read: (picture, options) => read(parts, picture, options),
    dispose: () => models.dispose(),
  };
}

async function read(parts: Parts, picture: Pixels, { signal, priority, onbox, online }: ReadOptions = {}): Promise<TextLine[]> {
  const pace = new Pace(signal);
  // What has a `run` is waited for when the cascade is stopped: nothing of it goes on behind the caller's back.
  const line = {
    run: async (quad: Quad, { signal }: { readonly signal: AbortSignal }): Promise<TextLine | undefined> => {
      const line = await readLine(parts, picture, quad, { signal, priority }, pace);
      if (line && !signal.aborted) online?.(line);
      return line;
    },
  };
  const cascade = pipeline(
    { run: (picture: Pixels, { signal }: { readonly signal: AbortSignal }) => detect(parts.detector, picture, { signal, priority }, pace) },
    function tell(quads: Quad[]) {
      for (const quad of quads) onbox?.(quad);
      return quads;
    },
    // While the workers read some lines, the next are cut out.
    each(line, { slots: 2 * parts.reader.slots }),
  );
  const lines = await cascade.run(picture, { signal });
  return lines.filter((line) => line !== undefined);
}

async function detect(detector: Model, picture: Pixels, options: CallOptions, pace: Pace): Promise<Quad[]> {
  const shrink = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((extent) => Math.max(1, Math.round((extent * shrink) / STEP)) * STEP) as [number, number];
  const x = await resized(picture, width, height, pace);
  // Where it is not the caller's own, it can be moved to the worker.
  const [data, [rows, columns]] = only(await detector.run({ x }, { ...options, transfer: x !== picture }));
  const found = await boxes({ data, width: columns, height: rows }, picture, pace);
  release(data);
  return found;
}

/** Which way up is it, and what does it say? `undefined` when there is nothing to read. */
async function readLine(parts: Parts, picture: Pixels, box: Quad, options: CallOptions, pace: Pace): Promise<TextLine | undefined> {
  const level = heightOf(box) >= TALL * widthOf(box) ? turned(box, 1) : box;
  const width = Math.min(WIDEST, Math.max(1, Math.floor((LINE * widthOf(level)) / Math.max(1, heightOf(level)))));
  const small = await straightened(picture, level, { width: Math.min(width, TURNER), height: LINE, padded: TURNER }, pace);
  // What was cut out is ours, and can be moved to the worker.
  const [[, upset = 0]] = only(await parts.turner.run({ x: small }, { ...options, transfer: true }));
  const recognised = async (isTurned: boolean): Promise<Reading & { readonly turned: boolean }> => {
    const size = { width, height: LINE, padded: Math.max(width, SHORTEST) };
    const x = await straightened(picture, isTurned ? turned(level, 2) : level, size, pace);
    const [scores, [, classes]] = only(await parts.reader.run({ x }, { ...options, transfer: true }));
    const reading = await parts.alphabet.read(scores, classes, pace);
    release(scores);
    return { ...reading, turned: isTurned };
  };
  // A long line is squeezed for the second model, which is then not sure: what reads better is right.
  const ways = upset > SURE ? [true] : upset < 1 - SURE ? [false] : [false, true];
  const readings = await Promise.all(ways.map(recognised));
  const best = readings.reduce((best, one) => (one.confidence > best.confidence ? one : best));
  return best.text.trim() === "" ? undefined : { corners: box, ...best };
}

/** The numbers of the only output, and its last two extents. */
function only(outputs: Outputs): [Float32Array, [number, number]] {
  const [output] = Object.values(outputs);
  return [output!.data as Float32Array, output!.dims.slice(-2) as [number, number]];
}
