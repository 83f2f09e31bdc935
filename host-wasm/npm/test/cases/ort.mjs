// A program for onnxruntime-web, with another import. What it gives is compared with the original in `test/unit/ort.test.mjs`.

import { close, equal, rejects, test } from "../harness/test.mjs";
import { readNpz } from "../harness/npz.mjs";

test("a program for onnxruntime-web runs as it is", async (t) => {
  const ort = await t.entry("ort");
  const arrays = await readNpz(await t.bytes("mtcnn_cascade/pnet.npz"));
  const [input, wanted] = [arrays.input_0, arrays.output_1];
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = "/nowhere/";
  const session = await ort.InferenceSession.create(t.url("mtcnn_cascade/pnet.onnx"), { executionProviders: ["wasm"], inferry: t.options });
  equal([session.inputNames, session.outputNames], [["input_1"], ["conv2d_4", "softmax"]]);
  const image = new ort.Tensor("float32", input.data, input.dims);
  const feeds = { input_1: image };
  const results = await Promise.all([session.run(feeds), session.run(feeds, ["softmax"])]);
  equal(results.map((result) => Object.keys(result)), [["conv2d_4", "softmax"], ["softmax"]]);
  for (const { softmax } of results) close(await softmax.getData(), wanted.data, { absolute: 1e-4, relative: 1e-4 });
  await rejects(session.run({}), "invalid-input");
  await session.release();
  await rejects(session.run(feeds), "disposed");
});

test("pictures become tensors on the page", async (t) => {
  const { Tensor } = await t.entry("ort");
  const canvas = new OffscreenCanvas(3, 2);
  const context = canvas.getContext("2d");
  context.fillStyle = "rgb(255 51 0)";
  context.fillRect(0, 0, 3, 2);
  const url = URL.createObjectURL(await canvas.convertToBlob());
  const image = Object.assign(new Image(), { src: url });
  await image.decode();
  for (const source of [context.getImageData(0, 0, 3, 2), await createImageBitmap(canvas), image, url]) {
    const tensor = await Tensor.fromImage(source, {});
    equal([[...tensor.dims], tensor.type], [[1, 3, 2, 3], "float32"]);
    close([tensor.data[0], tensor.data[6], tensor.data[12]], [1, 0.2, 0]);
  }
  await rejects(Tensor.fromImage(t.url("there/is/none.png")), "network");
}, { modes: ["isolated"] });

test("halves are what the browser has for them", async (t) => {
  const ort = await t.entry("ort");
  const session = await ort.InferenceSession.create(t.url("small/types.onnx"), { inferry: t.options });
  const feeds = Object.fromEntries(session.inputMetadata.map(({ name, type }) => {
    const big = type.endsWith("int64");
    const bits = type === "float16" ? new Uint16Array([0x3c00, 0xc000]) : big ? [1n, 2n] : type === "bool" ? [true, false] : [1, 2];
    return [name, new ort.Tensor(type, type === "string" ? ["grüezi", ""] : bits, [2])];
  }));
  const results = await session.run(feeds);
  const { f16_out, i64_out, bool_out, string_out } = results;
  equal([...f16_out.data], typeof Float16Array === "function" ? [1, -2] : [0x3c00, 0xc000]);
  equal([[...i64_out.data].map(String), [...bool_out.data]], [["1", "2"], [1, 0]]);
  equal([...string_out.data], ["grüezi", ""]);
  // What came out goes in again.
  const again = await session.run(Object.fromEntries(Object.entries(results).map(([name, value]) => [name.replace("_out", ""), value])));
  equal([...again.f16_out.data], [...f16_out.data]);
  await session.release();
});
