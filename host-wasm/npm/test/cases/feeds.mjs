// What a run takes and gives: rows T305 to T311, T318 and T319 of the catalogue of behaviours.

import { close, equal, ok, rejects, test } from "../harness/test.mjs";

const compile = (t, name, options) => t.inferry.compile(t.url(`small/${name}.onnx`), { ...t.options, ...options });
const floats = (...values) => new Float32Array(values);

test("T305 T308 a run takes an object or an array and gives tensors by name", async (t) => {
  const model = await compile(t, "difference");
  const { Tensor } = t.inferry;
  for (const feeds of [
    { x: floats(5, 7), y: floats(1, 2) },
    [floats(5, 7), floats(1, 2)],
    { x: new Tensor("float32", [5, 7]), y: new Tensor("float32", floats(1, 2), [2]) },
    [new Tensor("float32", [5, 7], [2]), floats(1, 2)],
  ]) {
    const outputs = await model.run(feeds);
    equal(Object.keys(outputs), ["z"]);
    ok(outputs.z instanceof Tensor);
    equal([outputs.z.type, [...outputs.z.dims], [...outputs.z.data]], ["float32", [2], [4, 5]]);
  }
  model.dispose();
});

test("T306 a bare array is not a set of inputs", async (t) => {
  const model = await compile(t, "difference");
  for (const wrong of [floats(1, 2), new t.inferry.Tensor("float32", [1, 2])]) await rejects(model.run(wrong), "invalid-input");
  model.dispose();
});

test("T307 T309 wrong inputs reject, always later, and name the port", async (t) => {
  const model = await compile(t, "difference");
  const y = floats(1, 2);
  const { Tensor } = t.inferry;
  for (const [feeds, code, says] of [
    ["image", "invalid-input", "object of inputs"],
    [null, "invalid-input", "object of inputs"],
    [{}, "invalid-input", '"x" is missing'],
    [{ x: y }, "invalid-input", '"y" is missing'],
    [{ x: floats(1, 2, 3), y }, "invalid-input", '"x"'],
    [{ x: new Float64Array(2), y }, "invalid-input", '"x" takes float32, not float64'],
    [{ x: new Tensor("float32", [1, 2], [2, 1]), y }, "invalid-input", '"x" takes the shape [2], not [2, 1]'],
    [{ x: "1, 2", y }, "invalid-input", '"x"'],
    [{ x: y, y, z: y }, "not-found", '"z"'],
    [[y, y, y], "out-of-range", "#2"],
  ]) {
    let promise;
    try {
      promise = model.run(feeds);
    } catch {
      ok(false, "a run throws instead of rejecting");
    }
    const error = await rejects(promise, code);
    ok(error instanceof t.inferry.InferError && error.message.includes(says), `${says}: ${error.message}`);
  }
  // A part of a buffer is no mistake: exactly that part is meant.
  const { z } = await model.run({ x: floats(0, 5, 7, 0).subarray(1, 3), y });
  equal([...z.data], [4, 5]);
  model.dispose();
});

test("T319 inputs are bound by name, in whatever order they come", async (t) => {
  const model = await compile(t, "difference");
  const outputs = await model.run({ y: floats(1, 2), x: floats(5, 7) });
  equal([...outputs.z.data], [4, 5]);
  model.dispose();
});

test("open extents come from the data", async (t) => {
  const model = await compile(t, "both");
  for (const size of [3, 1, 5, 3]) {
    const x = new Float32Array(size).map((_, i) => i * i);
    const y = new Float32Array(size).fill(2);
    const outputs = await model.run({ x, y });
    close(outputs.sum.data, [...x].map((value) => value + 2));
    close(outputs.difference.data, [...x].map((value) => value - 2));
  }
  const one = await model.run({ x: floats(1), y: floats(2) }, { outputs: ["sum"] });
  equal(Object.keys(one), ["sum"]);
  await rejects(model.run({ x: floats(1), y: floats(2) }, { outputs: ["product"] }), "not-found");
  model.dispose();
});

test("inputs are copied, or moved when asked", async (t) => {
  const model = await compile(t, "difference");
  const [x, y] = [floats(5, 7), floats(1, 2)];
  const running = model.run({ x, y });
  x.fill(0);
  equal([...(await running).z.data], [4, 5], "as it was when the run was asked for");
  await model.run({ x, y }, { transfer: true });
  equal([x.length, y.length], [0, 0], "moved away");
  await rejects(model.run({ x, y }), "invalid-input");
  const both = new Float32Array(4);
  await rejects(model.run({ x: both.subarray(0, 2), y: both.subarray(2) }, { transfer: true }).then(() => model.run({ x: 1, y })), "invalid-input");
  equal(both.length, 4, "a part of a buffer is copied all the same");
  model.dispose();
});

test("T310 T311 a request's tensors are set and got by name and index", async (t) => {
  const model = await compile(t, "difference");
  const request = model.createInferRequest();
  const { Tensor } = t.inferry;
  request.setTensor(0, floats(5, 7));
  request.setTensor("y", new Tensor("float32", [1, 2]));
  for (const [key, value, code] of [
    ["z", floats(1, 2), "not-found"], [2, floats(1, 2), "out-of-range"], [-1, floats(1, 2), "out-of-range"],
    ["x", {}, "invalid-input"], ["x", floats(1), "invalid-input"], [floats(1, 2), "x", "not-found"],
  ]) {
    const error = await rejects((async () => request.setTensor(key, value))(), code);
    ok(error.message.length > 10, error.message);
  }
  await request.startAsync();
  for (const output of [request.getTensor(), request.getTensor(0), request.getTensor("z")]) {
    ok(output instanceof Tensor);
    equal([...output.data], [4, 5]);
  }
  equal([...request.getTensor("x")], [5, 7]);
  await rejects((async () => request.getTensor("q"))(), "not-found");
  model.dispose();
});

test("T318 a tensor is made of what fits its type and shape", async (t) => {
  const { Tensor } = t.inferry;
  const refused = (make) => rejects((async () => make())(), "invalid-input");
  equal([...new Tensor("int64", [1, 2]).data.map(String)].length, 2);
  await refused(() => new Tensor("float32", floats(1, 2), [3]));
  await refused(() => new Tensor("float32", new Int32Array(2)));
  await refused(() => new Tensor("float33", floats(1)));
  await refused(() => new Tensor("float32", floats(1), [-1]));
  await refused(() => new Tensor("float32", floats(1), [0.5]));
  await refused(() => new Tensor("string", [1, 2]));
  await refused(() => new Tensor("float32", "abc"));
  await refused(() => new Tensor("int64", [0.5]));
  equal(new Tensor("string", ["a", "b"]).dims.length, 1);
  const data = floats(1, 2, 3, 4, 5, 6);
  const tensor = new Tensor("float32", data, [2, 3]);
  ok(tensor.data === data, "not copied");
  equal([...tensor.region([0, 1], [2, 2]).data], [2, 3, 5, 6]);
  await rejects((async () => tensor.region([0, 2], [1, 2]))(), "out-of-range");
  equal([...tensor.reshape([3, 2]).dims], [3, 2]);
});

test("every element type goes to a worker and back", async (t) => {
  const model = await compile(t, "types");
  const { Tensor } = t.inferry;
  const values = {
    f32: ["float32", [1.5, -2]], f64: ["float64", [1e300, -2]], f16: ["float16", [0x3c00, 0xc000]], i8: ["int8", [-128, 127]],
    i16: ["int16", [-32768, 7]], i32: ["int32", [-2147483648, 7]], i64: ["int64", [-9007199254740993n, 7n]], u8: ["uint8", [255, 0]],
    u16: ["uint16", [65535, 0]], u32: ["uint32", [4294967295, 0]], u64: ["uint64", [18446744073709551615n, 0n]],
    bool: ["bool", [1, 0]], string: ["string", ["grüezi", ""]],
  };
  const feeds = Object.fromEntries(Object.entries(values).map(([name, [type, data]]) => [name, new Tensor(type, data)]));
  const outputs = await model.run(feeds);
  for (const [name, [type, data]] of Object.entries(values)) {
    const found = outputs[`${name}_out`];
    equal([found.type, [...found.data].map(String)], [type, data.map(String)], name);
  }
  model.dispose();
});

test("types without an array of their own are bytes, of four bits two a byte", async (t) => {
  const model = await compile(t, "narrow");
  const { Tensor } = t.inferry;
  // 1, -2, 0.5 in each of the floats; 1, -2, 5 of four bits with a sign and 1, 14, 5 without.
  const values = {
    f8e4m3fn: ["float8e4m3fn", [0x38, 0xc0, 0x30]], f8e4m3fnuz: ["float8e4m3fnuz", [0x40, 0xc8, 0x38]],
    f8e5m2: ["float8e5m2", [0x3c, 0xc0, 0x38]], f8e5m2fnuz: ["float8e5m2fnuz", [0x40, 0xc4, 0x3c]],
    i4: ["int4", [0xe1, 5]], u4: ["uint4", [0xe1, 5]],
  };
  const feeds = Object.fromEntries(Object.entries(values).map(([name, [type, data]]) => [name, new Tensor(type, data, [3])]));
  const outputs = await model.run(feeds);
  for (const [name, [type, data]] of Object.entries(values)) {
    const found = outputs[`${name}_out`];
    ok(found.data instanceof Uint8Array);
    equal([found.type, [...found.dims], found.size, [...found.data]], [type, [3], 3, data], name);
    const halved = { int4: [0.5, -1, 2.5], uint4: [0.5, 7, 2.5] }[type] ?? [0.5, -1, 0.25];
    equal([...outputs[`${name}_halved`].data], halved, name);
  }
  const { i4 } = feeds;
  equal([new Tensor("uint4", [1, 2]).size, i4.reshape([1, 3]).size], [4, 3]);
  await rejects((async () => new Tensor("int4", [1, 2], [5]))(), "invalid-input");
  await rejects((async () => i4.region([0], [2]))(), "unsupported");
  await rejects(model.run({ ...feeds, i4: feeds.u4 }), "invalid-input");
  model.dispose();
});
