/**
 * What the page and its painter say to each other. Canvases are named by numbers.
 */

/** Colours by the names of their properties in the style sheet. */
export type Look = Readonly<Record<string, string>>;

/** What is painted on a canvas. */
export type Picture = "timeline" | "gaps" | "sound";

/** What a strip of sound shows. What is missing stays as it was. */
export interface Heard {
  readonly samples: Float32Array;
  /** Samples a second. */
  readonly rate: number;
  /** So many samples have one probability. */
  readonly window: number;
  /** How likely speech is, a number for each window from the first on. */
  readonly probabilities: readonly number[];
  /** In seconds. */
  readonly segments: readonly { readonly from: number; readonly to: number }[];
}

/** To the painter. Times are those of the page's clock, in milliseconds. */
export type ToPainter =
  | { readonly kind: "canvas"; readonly id: number; readonly canvas: OffscreenCanvas; readonly picture: Picture }
  /** Extents in CSS pixels, and how many pixels of the screen each has. */
  | { readonly kind: "size"; readonly id: number; readonly width: number; readonly height: number; readonly scale: number }
  | { readonly kind: "look"; readonly look: Look }
  /** Runs as `packed.ts` packs them: those that have ended since the last message, and all that are under way. */
  | { readonly kind: "runs"; readonly ended: Float64Array; readonly pending: Float64Array; readonly now: number }
  | { readonly kind: "timeline"; readonly id: number; readonly now: number; readonly span: number; readonly lanes: number }
  /** Gaps of the page's thread since the last message: when, how long, when, how long. */
  | { readonly kind: "gaps"; readonly id: number; readonly now: number; readonly ticks: Float64Array }
  /** A sound as a file that players play, to be answered by {@link Recorded}. */
  | { readonly kind: "record"; readonly id: number; readonly samples: Float32Array; readonly rate: number }
  /** The file is not wanted any more. */
  | { readonly kind: "forget"; readonly address: string }
  | { readonly kind: "sound"; readonly id: number; readonly heard: Partial<Heard> }
  /** To be answered by {@link Figures}. */
  | { readonly kind: "figures"; readonly now: number };

/** Where a sound lies as a file. */
export interface Recorded {
  readonly kind: "recorded";
  readonly id: number;
  readonly address: string;
}

/** What can be said in numbers. */
export interface Figures {
  readonly kind: "figures";
  /** Gaps of the page's thread: the percentiles 50 and 99.9, and the longest. */
  readonly gaps: readonly number[];
  /** For each stage of a request, and for all of it, its percentiles. */
  readonly stages: readonly (readonly number[])[];
  /** So many requests are in them. */
  readonly done: number;
}
