// Reads the fixtures of the test models (`X.npz`: a zip of arrays as NumPy writes them), in a page and in Node alike.
//
// Only what the fixtures hold is understood: stored or deflated members, little-endian dense arrays in C order. Half floats
// are given as their bits, because not every engine has an array for them.

const ARRAYS = {
  "<f4": ["float32", Float32Array],
  "<f8": ["float64", Float64Array],
  "<f2": ["float16", Uint16Array],
  "|i1": ["int8", Int8Array],
  "<i2": ["int16", Int16Array],
  "<i4": ["int32", Int32Array],
  "<i8": ["int64", BigInt64Array],
  "|u1": ["uint8", Uint8Array],
  "<u2": ["uint16", Uint16Array],
  "<u4": ["uint32", Uint32Array],
  "<u8": ["uint64", BigUint64Array],
  "|b1": ["bool", Uint8Array],
};

/** The arrays of an archive by their names: `{ input_0: { type, dims, data } }`. */
export async function readNpz(bytes) {
  const arrays = {};
  for (const { name, method, packed } of members(bytes)) {
    arrays[name.replace(/\.npy$/, "")] = readNpy(method === 0 ? packed : await inflate(packed));
  }
  return arrays;
}

/** One array. */
export function readNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] >= 2;
  const start = long ? 12 : 10;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const kind = /'descr':\s*'([^']+)'/.exec(header)?.[1];
  const dims = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1].split(",").filter((extent) => extent.trim()).map(Number);
  const known = ARRAYS[kind];
  if (!known || !dims || /'fortran_order':\s*True/.test(header)) throw new Error(`an array of another kind: ${header.trim()}`);
  const [type, Data] = known;
  // A copy, because the numbers need not lie where their type may begin.
  return { type, dims, data: new Data(bytes.slice(start + length).buffer) };
}

function* members(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // The list of members is found from the end, where its own place is written.
  let end = bytes.length - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("this is not an archive of arrays");
  let at = view.getUint32(end + 16, true);
  for (let count = view.getUint16(end + 10, true); count > 0; count--) {
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const local = view.getUint32(at + 42, true);
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    yield { name, method: view.getUint16(at + 10, true), packed: bytes.subarray(data, data + view.getUint32(at + 20, true)) };
    at += 46 + nameLength + extra + comment;
  }
}

async function inflate(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
