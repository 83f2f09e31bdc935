/**
 * The shapes of onnxruntime-web over this package: a trial is one changed import.
 *
 * ```js
 * import * as ort from "inferry/ort"; // was: "onnxruntime-web"
 *
 * const session = await ort.InferenceSession.create("model.onnx");
 * const { scores } = await session.run({ image: new ort.Tensor("float32", pixels, [1, 3, 224, 224]) });
 * ```
 *
 * The page does not freeze, runs may overlap, and they can be stopped: `run` takes `signal` and `timeout` besides. There are
 * no tensors of WebGL, WebGPU or WebNN.
 */

import { compileOn } from "./compile.js";
import { sessions } from "./ort/session.js";
import { Tensor as TensorClass, env } from "./ort/surface.js";
import type { DataTypeMap as Arrays } from "./ort/tensor.js";
import type * as types from "./ort/types.js";
import { web } from "./web.js";

export { type Env, InferError, type TensorParts, type WasmFlags, env } from "./ort/surface.js";
export type { InferenceSessionFactory } from "./ort/types.js";

/** Makes sessions. */
export const InferenceSession: types.InferenceSessionFactory = sessions((source, options) => compileOn(web, source, options));
/** A model that can be run. */
export type InferenceSession = types.InferenceSession;
/** The types that go with sessions. */
export declare namespace InferenceSession {
  export type OnnxValueMapType = types.Values;
  export type FeedsType = types.Values;
  export type FetchesType = types.Fetches;
  export type ReturnType = Record<string, TensorClass>;
  export type SessionOptions = types.SessionOptions;
  export type RunOptions = types.RunOptions;
  export type ValueMetadata = types.ValueMetadata;
  export type ExecutionProviderConfig = types.ExecutionProvider;
}

/** Tensors. */
export const Tensor = TensorClass;
/** A tensor. */
export type Tensor = TensorClass;
/** A tensor of a type. */
export type TypedTensor<T extends Tensor.Type> = TensorClass<T>;
/** The types that go with tensors. */
export declare namespace Tensor {
  export type DataTypeMap = Arrays;
  export type Type = keyof Arrays;
  export type DataType = Arrays[Type];
  export type DataLocation = "cpu" | "cpu-pinned" | "none";
}

export default { InferenceSession, Tensor, env };
