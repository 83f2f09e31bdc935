/**
 * Every message that crosses between a page and a worker, in two unions.
 *
 * A worker holds one instance of the engine and whatever models it was told to load; it runs one request at a time, and reads
 * its messages between two slices of it. The page decides everything else: which worker, which request, when to give up.
 * Bytes travel in `ArrayBuffer`s of their own, which are moved unless they are small; who wants to keep them copies them before.
 */

/** So many bytes are worth moving: for fewer, the books of a move cost more than a copy. */
export const WORTH_MOVING = 512;

/** Element types, by the names that onnxruntime-web uses too. */
export type ElementType =
  | "float32" | "float64" | "float16" | "bfloat16"
  | "int8" | "int16" | "int32" | "int64"
  | "uint8" | "uint16" | "uint32" | "uint64"
  | "bool" | "string"
  | "float8e4m3fn" | "float8e4m3fnuz" | "float8e5m2" | "float8e5m2fnuz"
  | "int4" | "uint4";

/**
 * A tensor on its way: dense, row-major. `bool` and the floats of eight bits are a byte each, `float16` and `bfloat16` two bytes;
 * two integers of four bits share a byte, the first in its lower half.
 */
export interface WireTensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** The bytes, or the strings of a tensor of strings. */
  readonly data: ArrayBuffer | readonly string[];
}

/** A part of a picture, in pixels. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What a worker does to a picture: `Preprocess` of `image.ts`, with everything said. */
export interface ImagePlan {
  readonly type: ElementType;
  /** A letter for each dimension: N (1), C, H, W. */
  readonly layout: string;
  /** As the picture's, when it is missing. */
  readonly width?: number;
  readonly height?: number;
  readonly crop?: Rectangle;
  readonly fit: "stretch" | "contain" | "cover";
  readonly start: boolean;
  /** Red, green, blue. */
  readonly pad: readonly number[];
  readonly channels: "RGB" | "BGR" | "gray";
  readonly mean: readonly number[];
  readonly scale: readonly number[];
  readonly smoothing: "off" | "low" | "medium" | "high";
}

/** Bytes of red, green, blue and alpha. */
export interface RawPixels {
  readonly data: ArrayBuffer;
  readonly width: number;
  readonly height: number;
}

/** A picture on its way to an input: the worker makes the tensor. */
export interface WireImage {
  readonly type: "image";
  readonly pixels: RawPixels | ImageBitmap | VideoFrame;
  readonly plan: ImagePlan;
  /** All of it, when it is missing. */
  readonly crop?: Rectangle;
}

/** What a run is given for an input. */
export type WireInput = WireTensor | WireImage;

/** An input or output of a model. `null` is an extent that is only known in a run; `dims` is `null` when even the rank is open. */
export interface PortInfo {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | null)[] | null;
}

/** What went wrong in a worker. `kind` is a code of `errors.ts`; `node`, where there is one, is the path of the node of the model. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly node?: string;
}

/** What a node of the model did in the latest run. Times in milliseconds. */
export interface NodeProfile {
  readonly name: string;
  readonly operator: string;
  readonly kernel: string;
  readonly status: "run" | "optimised-out" | "not-run";
  readonly time: number;
}

/** What a worker is doing. */
export type Doing = "gone" | "opening" | "loading" | "running" | "idle";

/** Phases of a compilation that happen in a worker, in their order. `done` of `total` counts bytes or nodes and never falls. */
export type EnginePhase = "parse" | "optimise" | "pack" | "warm-up";

/** How a model is compiled. */
export interface LoadOptions {
  /** Measures each node of each run. */
  readonly profiling: boolean;
  /** Up to so many runs on zeros before the model counts as loaded; the compiler of the browser then knows the kernels. */
  readonly warmUps: number;
  /** Fixed extents for open dimensions, by the name of the dimension in the model, or by input name. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  readonly limits?: Limits;
}

/** How much one run may ask for, whatever its model says. A run that asks for more fails, and its error names the node. */
export interface Limits {
  /** Trips of all loops together; 2^24 by default. */
  readonly trips?: number;
  /** Bytes for the values between the nodes; what the memory holds by default. Reached: `out-of-memory`. */
  readonly memory?: number;
  /** Bytes of strings that are made; 2^28 by default. */
  readonly strings?: number;
}

/** From the page to a worker. */
export type ToWorker =
  /** The first message: the engine to instantiate. `memory` and `agent` come with a threads build only. */
  | {
      readonly kind: "open";
      readonly module: WebAssembly.Module;
      readonly memory?: WebAssembly.Memory;
      /** Which agent of the shared memory this is; 0 initialises it before the others are opened. */
      readonly agent?: number;
      /** True: this agent computes tiles for others and gets no runs. */
      readonly helper?: boolean;
      /** The longest time in milliseconds that a run computes before messages are read; 0: without a limit. */
      readonly slice: number;
      /** Where a word of an `Int32Array` over shared memory says that the run should stop (any value but 0). */
      readonly stop?: Int32Array;
    }
  | { readonly kind: "load"; readonly model: number; readonly name: string; readonly source: Blob | ArrayBuffer; readonly options: LoadOptions }
  /** Stops a load: it is answered by `failed` with the code `cancelled`. */
  | { readonly kind: "unload"; readonly model: number }
  /** `inputs` in the order of the model's ports; `wanted`: the outputs to send, all when it is missing. */
  | { readonly kind: "run"; readonly run: number; readonly model: number; readonly inputs: readonly WireInput[]; readonly wanted?: readonly number[] }
  /** Answered by whatever the run comes to: `done` when it was over already, else `cancelled`. */
  | { readonly kind: "cancel"; readonly run: number }
  | { readonly kind: "memory"; readonly ask: number };

/** From a worker to the page. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "progress"; readonly model: number; readonly phase: EnginePhase; readonly done: number; readonly total: number }
  | { readonly kind: "loaded"; readonly model: number; readonly inputs: readonly PortInfo[]; readonly outputs: readonly PortInfo[] }
  | { readonly kind: "not-loaded"; readonly model: number; readonly error: WireError }
  /**
   * An output that was not wanted is `null`. `time`: milliseconds of computing; `took`: of that, of copying the inputs and of
   * copying the outputs. `began` and `ended`: when the inputs had been
   * copied, and when the outputs had not yet been, in milliseconds since 1970 by the clock that pages and workers share.
   */
  | { readonly kind: "done"; readonly run: number; readonly outputs: readonly (WireTensor | null)[]; readonly time: number; readonly took: number; readonly began: number; readonly ended: number; readonly profile?: readonly NodeProfile[] }
  /** An engine on the page's own thread has not come to the end of the run within a slice; it goes on. */
  | { readonly kind: "overrun"; readonly run: number }
  | { readonly kind: "cancelled"; readonly run: number }
  | { readonly kind: "failed"; readonly run: number; readonly error: WireError }
  | { readonly kind: "memory"; readonly ask: number; readonly bytes: number }
  /** The instance is damaged (a trap, a stack overflow, a panic) and answers nothing more. */
  | { readonly kind: "broken"; readonly message: string };

/** The end of a channel, whatever is behind it: a worker, a worker of Node, or a `MessagePort`. */
export interface Channel<In, Out> {
  send(message: Out, transfer?: Transferable[]): void;
  /** Called for each message, in order. */
  receive: (message: In) => void;
}
