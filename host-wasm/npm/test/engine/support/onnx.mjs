/**
 * Writes the little models that tests of the engine need, as ONNX files.
 */

const TYPES = { float32: 1, uint8: 2, int32: 6, int64: 7, string: 8, bool: 9, float16: 10 };

const encoder = new TextEncoder();

function varint(number) {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(number)); ; ) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
    if (rest === 0n) return bytes;
  }
}

const int = (field, number) => [...varint(field << 3), ...varint(number)];

function bytes(field, content) {
  const data = typeof content === "string" ? [...encoder.encode(content)] : content;
  return [...varint((field << 3) | 2), ...varint(data.length), ...data];
}

/** A port: extents are numbers, or names of what is open. */
function port({ name, type, dims }) {
  const extent = (dim) => bytes(1, typeof dim === "number" ? int(1, dim) : bytes(2, dim));
  const shape = dims === undefined ? [] : bytes(2, dims.flatMap(extent));
  return [...bytes(1, name), ...bytes(2, bytes(1, [...int(1, TYPES[type]), ...shape]))];
}

function node({ op, inputs, outputs, name = "", attributes = {} }) {
  const attribute = ([key, number]) => bytes(5, [...bytes(1, key), ...int(3, number), ...int(20, 2)]);
  const names = (field, list) => list.flatMap((each) => bytes(field, each));
  return [...names(1, inputs), ...names(2, outputs), ...bytes(3, name), ...bytes(4, op), ...Object.entries(attributes).flatMap(attribute)];
}

/** A file: `nodes` as `{ op, inputs, outputs, name?, attributes? }` with whole numbers as attributes. */
export function onnx({ inputs, outputs, nodes }) {
  const graph = [
    ...nodes.flatMap((each) => bytes(1, node(each))),
    ...bytes(2, "graph"),
    ...inputs.flatMap((each) => bytes(11, port(each))),
    ...outputs.flatMap((each) => bytes(12, port(each))),
  ];
  return Uint8Array.from([...int(1, 8), ...bytes(7, graph), ...bytes(8, int(2, 17))]).buffer;
}

/** `y = a + b`, any number of rows of three. */
export const addition = () =>
  onnx({
    inputs: ["a", "b"].map((name) => ({ name, type: "float32", dims: ["N", 3] })),
    outputs: [{ name: "y", type: "float32", dims: ["N", 3] }],
    nodes: [{ op: "Add", inputs: ["a", "b"], outputs: ["y"], name: "sum" }],
  });

/** So many multiplications of 512 by 512 in a chain: about 10 ms each. */
export const multiplications = (count) =>
  onnx({
    inputs: [{ name: "x", type: "float32", dims: [512, 512] }],
    outputs: [{ name: `t${count}`, type: "float32", dims: [512, 512] }],
    nodes: Array.from({ length: count }, (_, index) => ({
      op: "MatMul",
      inputs: [index === 0 ? "x" : `t${index}`, "x"],
      outputs: [`t${index + 1}`],
    })),
  });
