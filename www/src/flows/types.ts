/**
 * What the flows give to the page. A flow is a model, or several in a chain, with what is done to pictures, sounds and files
 * before and to tensors after: it knows no element and no canvas, so that everything here runs in Node too.
 *
 * Every rejection is an `InferError` of the package. An aborted signal rejects with the code `cancelled`, also in the middle of
 * a cascade, and leaves the flow ready for the next call.
 */

import type { ImageLike, Model, QueueOptions, RunOptions, Runtime } from "inferry";

/** Where models are fetched from, how far that is, and what to compile them on. */
export interface Bench {
  readonly runtime: Runtime;
  /** The folder of the names in `models.json`; ends with a slash. */
  readonly base: URL;
  /** Called as each file gets on: bytes while it is fetched and parsed, nodes afterwards. */
  readonly onprogress?: ((progress: FileProgress) => void) | undefined;
  /** Aborting stops what is fetched and compiled. */
  readonly signal?: AbortSignal | undefined;
  /** How the queue of each model is made; by default as the flow needs it. */
  readonly queue?: QueueOptions | undefined;
}

/** How far a file is. */
export interface FileProgress {
  /** Its name in `models.json`. */
  readonly file: string;
  readonly done: number;
  /** Missing when the server did not say. */
  readonly total?: number | undefined;
  /** `fetch` or `cache`, then the phases of the compilation. */
  readonly phase: string;
}

/** Pixels in memory: an `ImageData`, or what looks like one. */
export type Pixels = ImageLike;

/** A place in a picture, in its pixels: (0, 0) is the left upper corner of the first. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** The corners of what is framed, in order: left upper, right upper, right lower, left lower in the picture. */
export type Corners = readonly [Point, Point, Point, Point];

/** How one call is run. */
export interface CallOptions {
  /** Aborting stops the runs that wait and those that are under way. */
  readonly signal?: AbortSignal | undefined;
  /** Runs of higher priority leave the queues first. */
  readonly priority?: RunOptions["priority"];
}

/** What all flows have in common. */
export interface Flow {
  /** The models, with their names in `models.json`. */
  readonly models: readonly { readonly name: string; readonly model: Model }[];
  /** Frees the models. What is under way is rejected with the code `disposed`. */
  dispose(): void;
}

/** A line of text. */
export interface TextLine {
  /** The box around it, in the picture. */
  readonly corners: Corners;
  readonly text: string;
  /** How sure the reader is of the characters, on average: 0 to 1. */
  readonly confidence: number;
  /** Whether it stands on its head. */
  readonly turned: boolean;
}

/** How a picture is read. */
export interface ReadOptions extends CallOptions {
  /** Called with each box as soon as all are found, before the first is read. */
  readonly onbox?: ((corners: Corners) => void) | undefined;
  /** Called with each line as soon as it is read, in whatever order that is. */
  readonly online?: ((line: TextLine) => void) | undefined;
}

/** Reads the text in a picture. */
export interface TextReader extends Flow {
  /** The lines from top to bottom. */
  read(picture: Pixels, options?: ReadOptions): Promise<TextLine[]>;
}

/** A face, in pixels of the picture. It may reach beyond it. */
export interface Face {
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  /** Right eye, left eye, nose, mouth, right ear, left ear, as the face's owner has them. */
  readonly points: readonly Point[];
  /** How sure the model is: 0 to 1. */
  readonly score: number;
}

/** Finds faces. */
export interface FaceFinder extends Flow {
  /**
   * The faces, the surest first. One picture waits at the most: when a newer one comes before it is its turn, it is rejected
   * with the code `displaced`, which is what a camera wants.
   */
  find(picture: Pixels | ImageBitmap | VideoFrame, options?: CallOptions): Promise<Face[]>;
}

/** Where somebody speaks. */
export interface Speech {
  /** How likely speech is in each window of 512 samples (32 ms). Samples that do not fill a window are not heard. */
  readonly probabilities: Float32Array;
  /** From and to, in seconds. */
  readonly segments: readonly { readonly from: number; readonly to: number }[];
}

/** Hears where somebody speaks. Samples are of one channel, 16 000 a second, from -1 to 1. */
export interface VoiceDetector extends Flow {
  detect(samples: Float32Array, options?: VoiceOptions): Promise<Speech>;
  /** Listens to sound as it comes. Streams know nothing of each other. */
  stream(): VoiceStream;
}

/** How a sound is listened to. */
export interface VoiceOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with each window as it is heard, in order. */
  readonly onwindow?: ((index: number, probability: number) => void) | undefined;
}

/** One stream of sound. */
export interface VoiceStream {
  /** The probabilities of the windows that these samples fill; what is left over waits for the next samples. */
  push(samples: Float32Array): Promise<number[]>;
  /** Forgets what was heard. Samples pushed before are heard as if it had not been called. */
  reset(): void;
  /** Ends it. What is not heard yet is rejected with the code `disposed`. */
  dispose(): void;
}

/** Takes noise out of speech. Samples are of one channel, 16 000 a second, from -1 to 1. */
export interface Denoiser extends Flow {
  /** As many samples as were given, in time with them. */
  clean(samples: Float32Array, options?: CleanOptions): Promise<Float32Array>;
}

/** How a sound is cleaned. */
export interface CleanOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with each block of 128 samples (8 ms) as it is done. */
  readonly onblock?: ((done: number, total: number) => void) | undefined;
}

/** A straight line between two places, and how sure the model is of it: 0 to 1. */
export interface Segment2 {
  readonly a: Point;
  readonly b: Point;
  readonly score: number;
}

/** Finds straight lines. */
export interface LineFinder extends Flow {
  /** The lines, the surest first. */
  find(picture: Pixels | ImageBitmap, options?: CallOptions): Promise<Segment2[]>;
}

/** What a file may be. */
export interface Guess {
  /** The model's name for it, such as `python`. */
  readonly label: string;
  /** What it belongs to, such as `code`. */
  readonly group?: string;
  /** A name for people, such as `Python source`. */
  readonly description?: string;
  /** How likely it is: 0 to 1. */
  readonly score: number;
}

/** Says what kind of file it is, from the first and the last bytes. */
export interface FileNamer extends Flow {
  /** All labels, the likeliest first, after the answer where that is another: `txt` or `unknown` where the model is not sure. */
  name(file: Blob, options?: CallOptions): Promise<Guess[]>;
}
