/**
 * Inferry: ONNX models in the browser, without freezing the page.
 *
 * ```js
 * import { compile } from "inferry";
 *
 * const model = await compile("model.onnx");
 * const { scores } = await model.run({ image: pixels }, { timeout: 1000 });
 * ```
 *
 * Nothing happens when this is imported.
 */

import { type CompileOptions, compileOn } from "./compile.js";
import type { Model } from "./model.js";
import { Runtime, type RuntimeOptions } from "./runtime.js";
import type { Source } from "./source.js";
import { web } from "./web.js";

export * from "./surface.js";

/**
 * Compiles a model in a worker. The promise resolves when it can be run; every rejection is an `InferError`.
 */
export function compile(source: Source, options: CompileOptions = {}): Promise<Model> {
  return compileOn(web, source, options);
}

/** Workers of one's own, to share between models or to dispose of together. */
export function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return Runtime.create(web, options);
}
