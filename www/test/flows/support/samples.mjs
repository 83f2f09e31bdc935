/**
 * The samples and the recorded answers of the test models, read as far as these files go.
 */

import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { inflateSync } from "node:zlib";

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), "../../../..");

/** The path of a file below `tests/models/`. */
const carried = (file) => join(repository, "tests/models", file);

/** A file of a case as it is. */
export const bytes = (file) => readFileSync(carried(file));

/** What was recorded for a case. */
export const expected = (name) => JSON.parse(readFileSync(carried(`${name}/expected.json`), "utf8"));

/** A sound of one channel with 16-bit integers: its rate, and samples from -1 to 1. */
export function sound(file) {
  const data = bytes(file);
  const format = chunk(data, "fmt ");
  const [kind, channels, rate, bits] = [format.readUInt16LE(0), format.readUInt16LE(2), format.readUInt32LE(4), format.readUInt16LE(14)];
  if (kind !== 1 || channels !== 1 || bits !== 16) throw new Error(`${file}: a sound of another kind`);
  const body = chunk(data, "data");
  return { rate, samples: Float32Array.from({ length: body.length / 2 }, (_, index) => body.readInt16LE(index * 2) / 32768) };
}

function chunk(file, name) {
  for (let at = 12; at + 8 <= file.length; ) {
    const length = file.readUInt32LE(at + 4);
    if (file.toString("latin1", at, at + 4) === name) return file.subarray(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  throw new Error(`no chunk ${JSON.stringify(name)}`);
}

/** A PNG of 8-bit RGB, not interlaced, as what an `ImageData` looks like. */
export function picture(file) {
  const data = bytes(file);
  const parts = [];
  let width = 0;
  let height = 0;
  for (let at = 8; at < data.length; ) {
    const length = data.readUInt32BE(at);
    const [name, body] = [data.toString("latin1", at + 4, at + 8), data.subarray(at + 8, at + 8 + length)];
    if (name === "IHDR") {
      [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
      if (body[8] !== 8 || body[9] !== 2 || body[12] !== 0) throw new Error(`${file}: a picture of another kind`);
    }
    if (name === "IDAT") parts.push(body);
    at += length + 12;
  }
  return { width, height, data: unfiltered(inflateSync(Buffer.concat(parts)), width, height) };
}

/** Each row says how it is predicted from its neighbours (PNG, third edition, 9.2). */
function unfiltered(rows, width, height) {
  const stride = width * 3;
  const out = new Uint8ClampedArray(width * height * 4).fill(255);
  let above = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)];
    const row = rows.slice(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let x = 0; x < stride; x++) {
      const [left, up, corner] = [x < 3 ? 0 : row[x - 3], above[x], x < 3 ? 0 : above[x - 3]];
      row[x] += [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
      out[(y * width + Math.floor(x / 3)) * 4 + (x % 3)] = row[x];
    }
    above = row;
  }
  return out;
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}
