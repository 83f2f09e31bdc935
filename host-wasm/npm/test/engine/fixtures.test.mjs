/**
 * Every model that has a fixture, on a worker of Node: the same results as natively.
 */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { engineModule } from "./support/build.mjs";
import { worker } from "./support/client.mjs";
import { compare, fixture, modelBytes, models } from "./support/models.mjs";

const engine = worker();
before(async () => engine.open(await engineModule("engine")));
after(() => engine.close());

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
