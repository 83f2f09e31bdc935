/**
 * What kind of file it is: Google's Magika, from the first and the last bytes.
 *
 * The model sees the first 1024 bytes without the white space before them and the last 1024 without the white space after
 * them, and a sign for none where a file is shorter. Some of its labels count only when it is very sure. No more of a file is
 * read than it needs.
 */

import { type Model, Tensor } from "inferry";

import { kinds } from "./kinds.js";
import { Models, open } from "./open.js";
import type { Bench, CallOptions, FileNamer, Guess } from "./types.js";

/** The part of `magika/config.json` that is used. */
interface Config {
  readonly beg_size: number;
  readonly end_size: number;
  readonly block_size: number;
  readonly padding_token: number;
  readonly min_file_size_for_dl: number;
  readonly medium_confidence_threshold: number;
  readonly target_labels_space: readonly string[];
  readonly thresholds: Readonly<Record<string, number>>;
  readonly overwrite_map: Readonly<Record<string, string>>;
}

/** Opens the namer. */
export async function fileNamer(bench: Bench): Promise<FileNamer> {
  const { opened, texts } = await open(bench, [{ name: "magika/model.onnx" }], ["magika/config.json"]);
  const [{ model }] = opened as [(typeof opened)[number]];
  const config = JSON.parse(texts[0]) as Config;
  const models = new Models(opened);
  return {
    models: opened,
    name: (file, options) => name(model, config, file, options),
    dispose: () => models.dispose(),
  };
}

async function name(model: Model, config: Config, file: Blob, { signal, priority }: CallOptions = {}): Promise<Guess[]> {
  const size = Math.min(config.block_size, file.size);
  const ends = [file.slice(0, size), file.slice(file.size - size)].map(async (part) => new Uint8Array(await part.arrayBuffer()));
  const [head, tail] = (await Promise.all(ends)) as [Uint8Array, Uint8Array];
  // The model has not been taught so little.
  if (size === 0) return [guess("empty", 1)];
  if (trimmed(head).length < config.min_file_size_for_dl) return [guess(isText(head) ? "txt" : "unknown", 1)];
  const bytes = seen(head, tail, config);
  const { target_label } = await model.run({ bytes: new Tensor("int32", bytes, [1, bytes.length]) }, { signal, priority });
  const scores = target_label!.data as Float32Array;
  const guesses = config.target_labels_space.map((label, index) => guess(label, scores[index] ?? 0)).sort((a, b) => b.score - a.score);
  const best = guesses[0] as Guess;
  const label = answer(best, config, head);
  return label === best.label ? guesses : [guess(label, best.score), ...guesses];
}

/** What the model is given of a file, from its first and its last block. */
export function seen(head: Uint8Array, tail: Uint8Array, config: Pick<Config, "beg_size" | "end_size" | "padding_token">): Int32Array {
  const { beg_size: first, end_size: last, padding_token } = config;
  const bytes = new Int32Array(first + last).fill(padding_token);
  bytes.set(trimmed(head, "start").subarray(0, first));
  const end = trimmed(tail, "end").subarray(-last);
  bytes.set(end, bytes.length - end.length);
  return bytes;
}

/** The label that counts: some need more than others, and some say only that it is text, or not. */
export function answer({ label, score }: Pick<Guess, "label" | "score">, config: Config, head: Uint8Array): string {
  if (score < (config.thresholds[label] ?? config.medium_confidence_threshold)) return isText(head) ? "txt" : "unknown";
  return config.overwrite_map[label] ?? label;
}

function guess(label: string, score: number): Guess {
  return { label, ...kinds.get(label), score };
}

function trimmed(bytes: Uint8Array, side: "start" | "end" | "both" = "both"): Uint8Array {
  let [from, to] = [0, bytes.length];
  if (side !== "end") while (from < to && isSpace(bytes[from]!)) from++;
  if (side !== "start") while (to > from && isSpace(bytes[to - 1]!)) to--;
  return bytes.subarray(from, to);
}

function isSpace(byte: number): boolean {
  return (byte >= 9 && byte <= 13) || byte === 32;
}

/** Whether a block begins with text. Its last letter may be cut. */
function isText(block: Uint8Array): boolean {
  if (block.includes(0)) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(block, { stream: true });
    return true;
  } catch {
    return false;
  }
}
