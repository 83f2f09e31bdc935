/**
 * Why something did not work that leaves the engine whole: it becomes the answer to one message.
 *
 * Everything else that is thrown while the engine runs (a trap, a stack overflow) means that the instance is damaged.
 */

import type { InferErrorCode } from "../errors.js";
import type { WireError } from "../messages.js";

/** An error that is an answer. */
export class Failure extends Error {
  constructor(
    readonly code: InferErrorCode,
    message: string,
    readonly node?: string,
  ) {
    super(message);
  }

  /** As it crosses to the page. */
  get wire(): WireError {
    const { code, message, node } = this;
    return node === undefined ? { code, message } : { code, message, node };
  }
}
