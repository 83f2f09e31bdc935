/**
 * From a name in `models.json` to a model, or to the text beside it.
 *
 * A flow opens all its models at the same time. When one fails, the others are stopped and freed, and the error names the file.
 * This does not know what the models are for.
 */

import { type CompileOptions, InferError, type Model, compile } from "inferry";

import type { Bench } from "./types.js";

/** Where the package keeps fetched models; what belongs to a model is kept beside it. */
const CACHE = "inferry-models";

/** A model to open: its name, and what is special about it. */
export interface Wanted {
  readonly name: string;
  readonly options?: Pick<CompileOptions, "images" | "state" | "slots" | "queue" | "overflow" | "shapes">;
}

/** A model with its name. */
export interface Opened {
  readonly name: string;
  readonly model: Model;
}

/** Models that live and end together. */
export class Models {
  readonly models: readonly Opened[];

  constructor(models: readonly Opened[]) {
    this.models = models;
  }

  dispose(): void {
    for (const { model } of this.models) model.dispose();
  }
}

/** Compiles the models of a flow, and fetches the texts that it needs besides. */
export async function open<const Names extends readonly string[]>(
  bench: Bench,
  wanted: readonly Wanted[],
  texts: Names,
): Promise<{ readonly opened: readonly Opened[]; readonly texts: { readonly [index in keyof Names]: string } }> {
  const stop = new AbortController();
  const signal = bench.signal ? AbortSignal.any([bench.signal, stop.signal]) : stop.signal;
  const failed = (error: unknown): never => {
    stop.abort(error);
    throw error;
  };
  const models = wanted.map((one) => model({ ...bench, signal }, one).catch(failed));
  const written = texts.map((name) => text({ ...bench, signal }, name).catch(failed));
  const [ends] = await Promise.all([Promise.allSettled(models), Promise.allSettled(written)]);
  try {
    return { opened: await Promise.all(models), texts: (await Promise.all(written)) as { [index in keyof Names]: string } };
  } catch (error) {
    for (const end of ends) if (end.status === "fulfilled") end.value.model.dispose();
    // The first to fail aborted the others: theirs is the error.
    throw bench.signal?.aborted ? error : stop.signal.reason;
  }
}

async function model(bench: Bench & { readonly signal: AbortSignal }, { name, options }: Wanted): Promise<Opened> {
  const { runtime, base, signal, onprogress, queue } = bench;
  const progress = ({ phase, done, total }: { phase: string; done: number; total: number | undefined }): void => {
    onprogress?.({ file: name, phase, done, ...(total !== undefined && { total }) });
  };
  try {
    return { name, model: await compile(new URL(name, base), { ...options, ...queue, runtime, signal, onprogress: progress }) };
  } catch (error) {
    throw named(name, error);
  }
}

/** A file of text. In a browser it is kept with the models, so that they can be used without a network. */
async function text({ base, signal }: Bench, name: string): Promise<string> {
  const address = new URL(name, base);
  const cache = await globalThis.caches?.open(CACHE).catch(() => undefined);
  try {
    const kept = await cache?.match(address);
    if (kept) return await kept.text();
    const response = await fetch(address, { signal: signal ?? null });
    if (!response.ok) throw new InferError("network", `${address} answered ${response.status} ${response.statusText}`.trim());
    // A full disk or a private window is no reason to fail.
    await cache?.put(address, response.clone()).catch(() => undefined);
    return await response.text();
  } catch (cause) {
    if (signal?.aborted) throw new InferError("cancelled", `${name}: the fetch was aborted`, { cause: signal.reason });
    throw named(name, cause instanceof InferError ? cause : new InferError("network", `it could not be fetched: ${(cause as Error).message}`, { cause }));
  }
}

/** The same error, with the name of the file. */
function named(name: string, error: unknown): unknown {
  if (!(error instanceof InferError)) return error;
  return new InferError(error.code, `${name}: ${error.message}`, { cause: error.cause ?? error, node: error.node });
}
