/**
 * The one error that this package rejects with, and its codes.
 */

import type { WireError } from "./messages.js";

/** Why; the same table as the runtime's `InferErrorKind`. */
export type InferErrorCode =
  | "busy" | "cancelled" | "timeout" | "abandoned" | "displaced" | "not-found" | "out-of-range" | "invalid-input"
  | "in-use" | "unsupported" | "invalid-model" | "network" | "out-of-memory" | "operator" | "device" | "disposed"
  | "worker-lost" | "callback" | "panicked" | "internal";

/** What an {@link InferError} can say besides its message. */
export interface InferErrorDetails {
  /** What was thrown first: the reason of an aborted signal, the error of a callback, a failed fetch. */
  readonly cause?: unknown;
  /** The path of the node of the model at which it happened. */
  readonly node?: string | undefined;
}

/** Every rejection of this package, with a code to decide by and a message to read. */
export class InferError extends Error {
  /** What to decide by. */
  readonly code: InferErrorCode;
  /** The path of the node of the model at which it happened, when there is one. */
  readonly node: string | undefined;

  constructor(code: InferErrorCode, message: string, details: InferErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.name = "InferError";
    this.code = code;
    this.node = details.node;
  }
}

/** The error of a pair `[code, message]`, as the page's module throws them. */
export function fromPair(thrown: unknown): InferError {
  if (thrown instanceof InferError) return thrown;
  if (Array.isArray(thrown)) return new InferError(thrown[0] as InferErrorCode, String(thrown[1]));
  return new InferError("internal", String((thrown as Error)?.message ?? thrown), { cause: thrown });
}

/** The error of what a worker reports. */
export function fromWire(error: WireError): InferError {
  return new InferError(error.code as InferErrorCode, error.message, { node: error.node });
}
