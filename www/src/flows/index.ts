/**
 * The flows: each a function from a {@link Bench} to something that reads, finds, hears or names.
 */

export type * from "./types.js";
export { denoiser } from "./denoise.js";
export { faceFinder } from "./faces.js";
export { fileNamer } from "./files.js";
export { lineFinder } from "./lines.js";
export { textReader } from "./text.js";
export { voiceDetector } from "./voice.js";
