// Every model with recorded outputs gives them, in every mode, as near as natively.

import { equal, models, ok, test } from "../harness/test.mjs";
import { readNpz } from "../harness/npz.mjs";

for (const { name, here, tolerance } of models()) {
  const run = async (t) => {
    if (!here) t.skip(`no model ${name}`);
    const arrays = await readNpz(await t.bytes(name.replace(".onnx", ".npz")));
    const feeds = side(arrays, "input").map(({ type, dims, data }) => new t.inferry.Tensor(type, data, dims));
    const expected = side(arrays, "output");
    const model = await t.inferry.compile(t.url(name), t.options);
    try {
      const outputs = await model.run(feeds);
      equal(model.outputs.length, expected.length, "how many outputs");
      model.outputs.forEach((port, index) => compare(port.name, outputs[port.name], expected[index], tolerance));
    } finally {
      model.dispose();
    }
  };
  test(name, run, { limit: 120_000 });
}

test("there are recorded outputs", async () => ok(models().length > 20));

const side = (arrays, prefix) => Object.keys(arrays).filter((name) => name.startsWith(prefix)).sort(byNumber).map((name) => arrays[name]);
const byNumber = (a, b) => Number(a.split("_")[1]) - Number(b.split("_")[1]);

/** Fails when more than the allowed share of the elements is too far away. */
function compare(name, found, expected, { atol, rtol, outside }) {
  equal([found.type, [...found.dims]], [expected.type, expected.dims], `type and extents of ${name}`);
  const [a, b] = [numbers(found), numbers(expected)];
  let beyond = 0;
  let farthest = 0;
  for (let at = 0; at < b.length; at++) {
    const [x, y] = [Number(a[at]), Number(b[at])];
    const difference = Math.abs(x - y);
    // Not `>`: a NaN is beyond as well, unless both are.
    if (!(difference <= atol + rtol * Math.abs(y)) && !Object.is(x, y)) beyond++;
    farthest = Math.max(farthest, difference);
  }
  ok(beyond <= outside * b.length, `${name}: ${beyond} of ${b.length} elements are too far away, the farthest by ${farthest}`);
}

/** The elements as numbers; half floats are held as their bits. */
function numbers({ type, data }) {
  return type === "float16" ? Array.from(data, half) : data;
}

function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
