/**
 * Reads the fixtures: `.npz` is a zip of `.npy` files, each a header in Python's syntax and the elements.
 */

import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

/** Element types by numpy's letters. */
const TYPES = {
  "|b1": "bool", "|i1": "int8", "<i2": "int16", "<i4": "int32", "<i8": "int64",
  "|u1": "uint8", "<u2": "uint16", "<u4": "uint32", "<u8": "uint64",
  "<f2": "float16", "<f4": "float32", "<f8": "float64",
};

/** The arrays of a file by their names: `{ type, dims, data }`, data an `ArrayBuffer` of its own. */
export function readNpz(file) {
  const bytes = readFileSync(file);
  const arrays = new Map();
  for (const { name, content } of entries(bytes)) arrays.set(name.replace(/\.npy$/, ""), array(content));
  return arrays;
}

/** The files of a zip, from its central directory. */
function* entries(zip) {
  const END = 0x06054b50;
  let end = zip.length - 22;
  while (zip.readUInt32LE(end) !== END) end -= 1;
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left -= 1) {
    const method = zip.readUInt16LE(at + 10);
    const size = zip.readUInt32LE(at + 20);
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const packed = zip.subarray(start, start + size);
    yield { name, content: method === 0 ? packed : inflateRawSync(packed) };
    at += 46 + nameLength + extra + comment;
  }
}

function array(npy) {
  const wide = npy[6] >= 2;
  const start = (wide ? 12 : 10) + (wide ? npy.readUInt32LE(8) : npy.readUInt16LE(8));
  const header = npy.toString("latin1", wide ? 12 : 10, start);
  const field = (pattern) => header.match(pattern)?.[1] ?? "";
  if (field(/'fortran_order': (\w+)/) === "True") throw new Error("a fixture is row-major");
  const type = TYPES[field(/'descr': '([^']+)'/)];
  const dims = field(/'shape': \(([^)]*)\)/).split(",").filter((extent) => extent.trim() !== "").map(Number);
  return { type, dims, data: Uint8Array.from(npy.subarray(start)).buffer };
}
