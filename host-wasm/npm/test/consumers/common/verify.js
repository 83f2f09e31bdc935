// What every project runs: a small model on its recorded input. The word is `{ mode, worst }`, or `{ error }`.

/** The largest difference to the recorded answer that is no mistake: four times what one ulp of the largest output is. */
const TOLERANCE = 2e-5;

/** Compiles and runs with the package `inferry`; `read(name)` gives the bytes of a file of the fixture. */
export async function verify({ compile, Tensor }, read, options = {}) {
  const [bytes, dims, input] = await Promise.all([read("pnet.onnx"), read("dims.json"), read("input_0.f32")]);
  const extents = JSON.parse(new TextDecoder().decode(dims));
  const model = await compile(bytes, options);
  try {
    const outputs = await model.run([new Tensor("float32", new Float32Array(input), extents.input_0)]);
    let worst = 0;
    for (const [index, { name }] of model.outputs.entries()) {
      const expected = new Float32Array(await read(`output_${index}.f32`));
      const { data } = outputs[name];
      if (data.length !== expected.length) throw new Error(`${name} has ${data.length} elements, not ${expected.length}`);
      for (let at = 0; at < expected.length; at++) worst = Math.max(worst, Math.abs(data[at] - expected[at]));
    }
    if (!(worst <= TOLERANCE)) throw new Error(`an output is ${worst} away from the recorded one`);
    return { mode: model.runtime.mode, worst };
  } finally {
    model.dispose();
  }
}

/** The same in a page, which tells its driver, or shows it to a person. */
export async function page(inferry, options) {
  const read = async (name) => (await fetch(new URL(`/fixture/${name}`, location.origin))).arrayBuffer();
  const word = await verify(inferry, read, options).catch((error) => ({ error: `${error?.stack ?? error}\n${error?.cause ?? ""}` }));
  if (globalThis.verdict) globalThis.verdict(word);
  else document.body.append(JSON.stringify(word));
}
