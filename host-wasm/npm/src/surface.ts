/** What both entries export: everything but the functions that need a platform. */

export type { CompileOptions, Progress } from "./compile.js";
export { InferError, type InferErrorCode } from "./errors.js";
export type { ImageFeed, ImageLike, ImageRegion, ImageSource, ImagesOption, Preprocess, Rectangle } from "./image.js";
export type { Limits, NodeProfile } from "./messages.js";
export { type Feeds, Model, type Outputs, type Overflow, type QueueOptions, type RunOptions, type StateOption, type StatePair } from "./model.js";
export type { Items } from "./ordered.js";
export { type EachOptions, Pipeline, type PipelineRunOptions, type PipelineStreamOptions, type Runnable, type Stage, type StageContext, each, pipeline } from "./pipeline.js";
export { type Callback, InferRequest, type RequestStatus, type StartOptions, type Waited } from "./request.js";
export { type Mode, Runtime, type RuntimeOptions } from "./runtime.js";
export type { CacheOption, Source } from "./source.js";
export type { StreamItem, StreamOptions } from "./stream.js";
export { type ElementType, type Feed, type PortInfo, Tensor, type TypedArray } from "./tensor.js";
export { Trace, type TraceEvent, type TracedRun } from "./trace.js";
