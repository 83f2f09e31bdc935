/** `inferry/ort` in Node. Its types are those of `ort.ts`. */

import { compile } from "./node.js";
import { sessions } from "./ort/session.js";
import { Tensor, env } from "./ort/surface.js";

export * from "./ort/surface.js";

/** Makes sessions. */
export const InferenceSession = sessions(compile);

export default { InferenceSession, Tensor, env };
