// Tests that end in every way there is; `unit/harness.test.mjs` looks at what the driver makes of them.

import { equal, rejects, test, turn } from "../test.mjs";

test("holds", async (t) => {
  equal(typeof t.inferry, "object");
  equal({ a: [1, "b"] }, { a: [1, "b"] });
  await turn();
});
test("does not hold", async () => equal([1, 2], [1, 3], "the pair"));
test("rejects otherwise", async () => void (await rejects(Promise.reject(Object.assign(new Error("x"), { code: "busy" })), "timeout")));
test("has no model", async (t) => t.skip("no model there.onnx"));
test("is for another mode", async () => equal(1, 2), { modes: ["nowhere"] });
test("leaves an error to nobody", async () => {
  setTimeout(() => {
    throw new Error("stray");
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
}, { modes: ["isolated", "inline", "shared"] });
test("is isolated just when it shall be", async (t) => equal(globalThis.crossOriginIsolated, t.mode === "shared"), { modes: ["isolated", "inline", "shared"] });
test("blocks for ever", async () => {
  for (;;);
}, { limit: 1_000 });
test("comes after that", async () => {});
