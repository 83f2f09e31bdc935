// What a runtime holds after a model has been made and run once on a new page: the size of its WebAssembly memories.

import { megabytes, table } from "../table.mjs";

export const title = "Memory";

const SIDES = ["isolated1", "shared1", "main"];

export async function measure(lab, { models, add, attempt }) {
  const found = [];
  for (const model of [add, ...models]) {
    await attempt(model.name, async () => {
      const row = { model: model.name };
      for (const name of lab.possible(SIDES)) {
        row[name] = await lab.with([name], model, ([page]) => page.call("memory"));
      }
      found.push(row);
    });
  }
  return found;
}

export function report(found) {
  const lines = ["MB of WebAssembly memory after the first run, one worker. The page's own module of ours is not counted.", ""];
  const rows = found.map((row) => [row.model, ...SIDES.map((name) => megabytes(row[name]))]);
  return [...lines, ...table(["model", "ours, isolated", "ours, shared", "theirs, main"], rows)];
}

export function bars() {
  return [];
}
