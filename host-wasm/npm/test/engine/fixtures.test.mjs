/**
 * Every model that has a fixture: the same results as natively, on a worker with its own memory, and on one that shares its
 * memory with a helper.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { engineModule } from "./support/build.mjs";
import { pool, worker } from "./support/client.mjs";
import { compare, fixture, modelBytes, models } from "./support/models.mjs";

const modes = {
  "a memory of its own": async () => {
    const engine = worker();
    await engine.open(await engineModule("engine"));
    return { engine, close: () => engine.close() };
  },
  "shared memory and a helper": async () => {
    const { streams, close } = await pool(await engineModule("engine.threads"));
    return { engine: streams[0], close };
  },
};

for (const [name, open] of Object.entries(modes)) {
  describe(name, () => {
    let engine;
    let close;
    before(async () => ({ engine, close } = await open()));
    after(() => close());

    models().forEach((model, number) => {
      test(model, { skip: modelBytes(model) === undefined && "the model has not been fetched" }, async () => {
        const { inputs, outputs } = fixture(model);
        const { inputs: ports } = await engine.load(number, modelBytes(model));
        assert.equal(ports.length, inputs.length);
        const done = await engine.start(number, inputs);
        assert.equal(done.outputs.length, outputs.length);
        done.outputs.forEach((output, index) => compare(model, index, output, outputs[index]));
        engine.unload(number);
      });
    });
  });
}
