// What goes into a model and what came out of it, in the same form for both sides.
//
// A feed is `{ type, dims, data }` as `npz.mjs` reads it: half floats are their bits.

import { readNpz } from "../../test/harness/npz.mjs";

const ARRAYS = { float32: Float32Array, int64: BigInt64Array };

/** The inputs of a model in the order of its ports: from a fixture (`{ npz }`), or as they stand (`{ values }`). */
export async function feedsOf({ npz, values }) {
  if (values) return values.map(({ type, dims, data }) => ({ type, dims, data: ARRAYS[type].from(data) }));
  const response = await fetch(npz);
  if (!response.ok) throw new Error(`${npz}: ${response.status}`);
  const arrays = await readNpz(new Uint8Array(await response.arrayBuffer()));
  const feeds = [];
  while (`input_${feeds.length}` in arrays) feeds.push(arrays[`input_${feeds.length}`]);
  return feeds;
}

/** So many elements of each output are held against the other side's. */
const SAMPLED = 4096;

/** Outputs, short enough to be handed out of the page: their extents, and elements at equal distances as numbers. */
export function sampled(outputs) {
  return outputs.map(({ type, dims, data }) => {
    const step = Math.max(1, Math.floor(data.length / SAMPLED));
    const isBits = type === "float16" && data instanceof Uint16Array;
    const values = [];
    for (let at = 0; at < data.length; at += step) values.push(isBits ? half(data[at]) : Number(data[at]));
    // What JSON does not know.
    return { type, dims: [...dims], values: values.map((value) => (Number.isFinite(value) ? value : String(value))) };
  });
}

function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
