/**
 * What a worker promises, in each way to have one: a thread of its own, a thread over shared memory with a helper, and the
 * thread of the caller.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { engineModule } from "./support/build.mjs";
import { inline, pool, tensor, worker } from "./support/client.mjs";
import { fixture, modelBytes } from "./support/models.mjs";
import { addition, multiplications, onnx } from "./support/onnx.mjs";

const SILERO = "silero_vad/silero_vad_openvino_16k.onnx";

const modes = {
  "a worker": async () => {
    const engine = worker();
    await engine.open(await engineModule("engine"));
    return { engine, close: () => engine.close() };
  },
  "a worker over shared memory": async () => {
    const { streams, close } = await pool(await engineModule("engine.threads"));
    return { engine: streams[0], close };
  },
  "the calling thread": async () => {
    const engine = inline();
    await engine.open(await engineModule("engine"));
    return { engine, close: () => engine.close() };
  },
};

const rows = (...values) => tensor("float32", [values.length / 3, 3], values);
const floats = ({ data }) => [...new Float32Array(data)];
const square = () => tensor("float32", [512, 512], new Float32Array(512 * 512));
const rejection = async (promise) => promise.then(() => assert.fail("it was fulfilled"), (error) => error);

for (const [name, open] of Object.entries(modes)) {
  describe(name, () => {
    let engine;
    let close;
    let number = 0;
    /** Loads a model under a fresh number. */
    const load = async (source, options) => {
      number += 1;
      return { number, ...(await engine.load(number, source, options)) };
    };
    before(async () => ({ engine, close } = await open()));
    after(() => close());

    test("a model tells its ports, and open extents are null", async () => {
      const { inputs, outputs } = await load(addition());
      const port = (name) => ({ name, type: "float32", dims: [null, 3] });
      assert.deepEqual([inputs, outputs], [[port("a"), port("b")], [port("y")]]);
    });

    test("each run may have another shape", async () => {
      const { number } = await load(addition());
      for (const [a, b, sum] of [
        [rows(1, 2, 3), rows(4, 5, 6), [5, 7, 9]],
        [rows(1, 2, 3, 4, 5, 6), rows(1, 1, 1, 1, 1, 1), [2, 3, 4, 5, 6, 7]],
        [rows(), rows(), []],
        [rows(0, 0, 0), rows(7, 7, 7), [7, 7, 7]],
      ]) {
        const { outputs, time } = await engine.start(number, [a, b]);
        assert.deepEqual(outputs[0].dims, [sum.length / 3, 3]);
        assert.deepEqual(floats(outputs[0]), sum);
        assert.ok(time >= 0);
      }
    });

    test("a shape that only the run finds out is told with the output", async () => {
      const model = onnx({
        inputs: [{ name: "shape", type: "int64", dims: [2] }],
        outputs: [{ name: "zeros", type: "float32", dims: ["A", "B"] }],
        nodes: [{ op: "ConstantOfShape", inputs: ["shape"], outputs: ["zeros"], name: "the zeros" }],
      });
      const { number } = await load(model);
      const ask = async (...shape) => (await engine.start(number, [tensor("int64", [2], shape)])).outputs[0];
      assert.deepEqual((await ask(2n, 3n)).dims, [2, 3]);
      assert.equal((await ask(7n, 5n)).data.byteLength, 140);
      const error = await rejection(ask(2n, -1n));
      assert.equal(error.node, "the zeros");
      assert.equal(error.code, "operator");
      assert.deepEqual((await ask(1n, 1n)).dims, [1, 1]);
    });

    test("only the outputs that are wanted are sent", async () => {
      const { number, inputs } = await load(modelBytes(SILERO));
      const { outputs } = await engine.start(number, fixture(SILERO).inputs, [1]);
      assert.equal(outputs[0], null);
      assert.deepEqual(outputs[1].dims, [2, 1, 128]);
      assert.equal(inputs.length, 2);
      assert.equal((await rejection(engine.start(number, fixture(SILERO).inputs, [2]))).code, "out-of-range");
    });

    test("inputs that do not fit are refused by name, and the next run is done", async () => {
      const { number } = await load(addition());
      const one = rows(1, 2, 3);
      for (const [inputs, code, words] of [
        [[one], "invalid-input", "takes 2 inputs, not 1"],
        [[one, tensor("int32", [1, 3], [1, 2, 3])], "invalid-input", 'input #1 "b" takes f32, not i32'],
        [[one, tensor("float32", [1, 4], [1, 2, 3, 4])], "invalid-input", 'input #1 "b" takes the shape [?, 3], not [1, 4]'],
        [[one, { ...one, dims: [2, 3] }], "invalid-input", 'input #1 "b": float32 [2, 3] has 24 bytes, not 12'],
        [[one, { ...one, dims: [-1, 3] }], "invalid-input", "is no shape"],
        [[one, { ...one, dims: [1, 1, 1, 1, 1, 1, 1, 1, 3] }], "invalid-input", "9 dimensions"],
        [[one, { ...one, type: "float8" }], "invalid-input", "no element type"],
        [[one, { type: "string", dims: [1, 3], data: ["a", "b", "c"] }], "invalid-input", "takes f32, not string"],
        [[one, { ...one, data: ["a"] }], "invalid-input", "has bytes"],
      ]) {
        const error = await rejection(engine.start(number, inputs));
        assert.equal(error.code, code, error.message);
        assert.ok(error.message.includes(words), error.message);
      }
      const { outputs } = await engine.start(number, [one, one]);
      assert.deepEqual(floats(outputs[0]), [2, 4, 6]);
    });

    test("bytes that are no bool are refused", async () => {
      const port = (name) => ({ name, type: "bool", dims: [2] });
      const { number } = await load(onnx({ inputs: [port("x")], outputs: [port("y")], nodes: [{ op: "Not", inputs: ["x"], outputs: ["y"] }] }));
      assert.equal((await rejection(engine.start(number, [tensor("bool", [2], [0, 2])]))).code, "invalid-input");
      const { outputs } = await engine.start(number, [tensor("bool", [2], [0, 1])]);
      assert.deepEqual([...new Uint8Array(outputs[0].data)], [1, 0]);
    });

    test("strings go in and come out", async () => {
      const { number, inputs } = await load(
        onnx({
          inputs: [{ name: "words", type: "string", dims: ["N"] }],
          outputs: [{ name: "both", type: "string", dims: ["M"] }, { name: "same", type: "bool", dims: ["N"] }],
          nodes: [
            { op: "Concat", inputs: ["words", "words"], outputs: ["both"], attributes: { axis: 0 } },
            { op: "Equal", inputs: ["words", "words"], outputs: ["same"] },
          ],
        }),
      );
      assert.equal(inputs[0].type, "string");
      const words = (...data) => ({ type: "string", dims: [data.length], data });
      for (const said of [["", "grüezi", "𝕊"], ["x"], []]) {
        const { outputs } = await engine.start(number, [words(...said)]);
        assert.deepEqual(outputs[0], words(...said, ...said));
        assert.deepEqual([...new Uint8Array(outputs[1].data)], said.map(() => 1));
      }
      const short = await rejection(engine.start(number, [{ ...words("a"), dims: [2] }]));
      assert.equal(short.code, "invalid-input", short.message);
    });

    test("a model that is none, or that needs what we do not have, is refused and leaves nothing", async () => {
      const unknown = onnx({
        inputs: [{ name: "x", type: "float32", dims: [1] }],
        outputs: [{ name: "y", type: "float32", dims: [1] }],
        nodes: [{ op: "Sorcery", inputs: ["x"], outputs: ["y"] }],
      });
      for (const [source, code, words] of [
        [new ArrayBuffer(0), "invalid-model", "empty"],
        [Uint8Array.from([80, 75, 3, 4]).buffer, "invalid-model", "not an ONNX model"],
        [modelBytes(SILERO).slice(0, 100_000), "invalid-model", ""],
        [unknown, "unsupported", "ai.onnx.Sorcery"],
      ]) {
        const error = await rejection(load(source));
        assert.equal(error.code, code, error.message);
        assert.ok(error.message.includes(words), error.message);
        assert.equal((await rejection(engine.start(number, []))).code, "internal");
      }
    });

    test("a model may come as a Blob", async () => {
      const { number } = await load(new Blob([modelBytes(SILERO)]));
      const { inputs, outputs } = fixture(SILERO);
      const done = await engine.start(number, inputs);
      assert.deepEqual(done.outputs.map(({ dims }) => dims), outputs.map(({ dims }) => dims));
    });

    test("open extents can be fixed when a model is loaded", async () => {
      const fixed = await load(addition(), { shapes: { N: [2] } });
      assert.deepEqual(fixed.inputs.map(({ dims }) => dims), [[2, 3], [2, 3]]);
      const one = await load(addition(), { shapes: { a: [4, 3] } });
      assert.deepEqual(one.inputs[0].dims, [4, 3]);
      for (const [shapes, code] of [
        [{ a: [4, 4] }, "invalid-input"],
        [{ M: [4] }, "not-found"],
        [{ N: [1.5] }, "invalid-input"],
      ]) {
        assert.equal((await rejection(load(addition(), { shapes }))).code, code);
      }
    });

    test("a load tells how far it is: every phase in its order, and never back", async () => {
      engine.heard.length = 0;
      const { number } = await load(modelBytes(SILERO), { warmUps: 3 });
      const told = engine.heard.filter(({ kind, model }) => kind === "progress" && model === number);
      const phases = told.map(({ phase }) => phase);
      assert.deepEqual([...new Set(phases)], ["parse", "optimise", "pack", "warm-up"]);
      const order = phases.map((phase) => ["parse", "optimise", "pack", "warm-up"].indexOf(phase));
      assert.deepEqual(order, order.toSorted((a, b) => a - b));
      for (const phase of new Set(phases)) {
        const steps = told.filter((step) => step.phase === phase);
        steps.forEach(({ done, total }, at) => assert.ok(done <= total && done >= (steps[at - 1]?.done ?? 0)));
        assert.equal(steps.at(-1).done, steps.at(-1).total);
      }
    });

    test("a model that is measured tells what each node took", async () => {
      const { number } = await load(addition(), { profiling: true });
      const { profile } = await engine.start(number, [rows(1, 2, 3), rows(1, 2, 3)]);
      assert.equal(profile.length, 1);
      const [{ name, operator, kernel, status, time }] = profile;
      assert.deepEqual([name, operator, status], ["sum", "Add", "run"]);
      assert.ok(kernel.length > 0 && time >= 0);
      const plain = await load(addition());
      assert.equal((await engine.start(plain.number, [rows(1, 2, 3), rows(1, 2, 3)])).profile, undefined);
    });

    test("messages are read while a run computes", async () => {
      const { number } = await load(multiplications(20));
      let over = false;
      const run = engine.start(number, [square()]).then(() => (over = true));
      assert.ok((await engine.memory()) > 0);
      assert.equal(over, false);
      await run;
    });

    test("a run that is cancelled in the middle is over soon, and the next is done", async () => {
      const { number } = await load(multiplications(300));
      const run = engine.start(number, [square()]);
      await engine.memory();
      engine.cancel(run.number);
      assert.equal((await rejection(run)).code, "cancelled");
      const small = await load(addition());
      assert.deepEqual(floats((await engine.start(small.number, [rows(1, 2, 3), rows(1, 2, 3)])).outputs[0]), [2, 4, 6]);
      // The request that was cancelled can run again: it is stopped once more, since it takes long.
      const again = engine.start(number, [square()]);
      engine.cancel(again.number);
      assert.equal((await rejection(again)).code, "cancelled");
    });

    test("a run that waits for its turn can be cancelled, and one that is over cannot", async () => {
      const long = await load(multiplications(20));
      const { number } = await load(addition());
      const first = engine.start(long.number, [square()]);
      const second = engine.start(number, [rows(1, 2, 3), rows(1, 2, 3)]);
      const third = engine.start(number, [rows(1, 2, 3), rows(1, 2, 3)]);
      engine.cancel(second.number);
      assert.equal((await rejection(second)).code, "cancelled");
      await first;
      await third;
      engine.cancel(third.number);
      assert.ok((await engine.start(number, [rows(1, 2, 3), rows(1, 2, 3)])).outputs.length === 1);
    });

    test("a load can be given up", async () => {
      const loading = load(multiplications(40), { warmUps: 1000 });
      const given = number;
      engine.unload(given);
      assert.equal((await rejection(loading)).code, "cancelled");
      assert.equal((await rejection(engine.start(given, [square()]))).code, "internal");
      await engine.load(given, addition());
    });

    test("a model that is unloaded is gone with its runs, and its memory is used again", async () => {
      const bytes = [];
      for (let round = 0; round < 12; round += 1) {
        const { number } = await load(modelBytes(SILERO));
        await engine.start(number, fixture(SILERO).inputs);
        engine.unload(number);
        assert.equal((await rejection(engine.start(number, fixture(SILERO).inputs))).code, "internal");
        bytes.push(await engine.memory());
      }
      assert.equal(bytes.at(-1), bytes[4], "the memory does not grow with each round");
    });
  });
}
