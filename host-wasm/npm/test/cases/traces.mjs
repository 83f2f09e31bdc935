// What a page records of its runs; the format is looked at closely in `test/unit/trace.test.mjs`.

import { equal, ok, test } from "../harness/test.mjs";

test("runs are traced for DevTools and for a file", async (t) => {
  const model = await t.inferry.compile(t.url("small/both.onnx"), { ...t.options, profiling: true });
  const { trace } = model.runtime;
  trace.clear();
  trace.start();
  await model.run({ x: new Float32Array(2), y: new Float32Array(2) });
  trace.stop();
  const [run] = trace.runs();
  equal(run.outcome, "done");
  ok(run.asked <= run.posted && run.posted <= run.answered && run.answered <= run.settled, "times follow each other");
  const { traceEvents } = JSON.parse(JSON.stringify(trace));
  const names = traceEvents.filter(({ ph }) => ph === "X").map(({ name, args }) => args.operator ?? name);
  equal(names.sort(), ["Add", "Sub", "run"]);
  const entries = performance.getEntriesByName(`inferry run ${run.run}`);
  equal(entries.map(({ detail }) => detail.devtools.track).sort(), ["requests", `worker ${run.worker}`]);
  trace.clear();
  equal(performance.getEntriesByName(`inferry run ${run.run}`).length, 0);
  model.dispose();
});
