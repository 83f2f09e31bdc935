/**
 * The flows: each a function from a {@link Bench} to something that reads, finds, hears or names. `types.ts` says what.
 *
 * ```text
 *  text.ts     resize.ts ─▶ model ─▶ regions.ts ─▶ crop.ts ─▶ two models ─▶ alphabet.ts      geometry.ts below
 *  faces.ts    resize.ts ─▶ model ─▶ boxes.ts
 *  lines.ts    resize.ts ─▶ model
 *  voice.ts    model with a memory ─▶ segments.ts
 *  denoise.ts  fourier.ts ─▶ model with a memory ─▶ fourier.ts ─▶ model with a memory
 *  files.ts    model ─▶ kinds.ts
 * ```
 *
 * All open their models by `open.ts`, under the names of `models.json`, and give way to the page by `pace.ts`.
 */

export type * from "./types.js";
export { denoiser } from "./denoise.js";
export { faceFinder } from "./faces.js";
export { fileNamer } from "./files.js";
export { lineFinder } from "./lines.js";
export { textReader } from "./text.js";
export { voiceDetector } from "./voice.js";
