/** What both entries of `inferry/ort` export, but for what needs a platform. */

import { InferError } from "../errors.js";
import { env } from "./env.js";
import { Tensor } from "./tensor.js";

export { InferError, Tensor, env };
export type { Env, WasmFlags } from "./env.js";
export type { TensorParts } from "./tensor.js";
