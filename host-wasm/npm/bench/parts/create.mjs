// What a page waits for from the import of the library to the first result, on a new page each time, with nothing cached.

import { geometric, largest, median, ratio, turns } from "../stats.mjs";
import { bar, ms, plain, table } from "../table.mjs";

export const title = "Create and first run";

const SIDES = ["isolated", "main", "proxy"];

/** As often theirs at most. */
const MOST = 0.5;

export async function measure(lab, { models, add, rounds, attempt }) {
  const found = [];
  for (const model of [add, ...models]) {
    await attempt(model.name, async () => {
      const times = Object.fromEntries(SIDES.map((name) => [name, { firsts: [], seconds: [] }]));
      for (let round = 0; round < rounds; round++) {
        for (const name of turns(SIDES, round)) {
          const page = await lab.page(name);
          try {
            const { create, run, second } = await page.call("first", { model, again: true });
            times[name].firsts.push(create + run);
            times[name].seconds.push(second);
          } finally {
            await page.close();
          }
        }
      }
      const row = { model: model.name, first: {}, second: {} };
      for (const name of SIDES) {
        row.first[name] = median(times[name].firsts);
        row.second[name] = median(times[name].seconds);
      }
      found.push({ ...row, ratio: ratio(times.isolated.firsts, times.main.firsts), ratioProxy: ratio(times.isolated.firsts, times.proxy.firsts) });
    });
  }
  return found;
}

export function report(found) {
  const lines = ["Milliseconds from the import of the library to the first result on a new page, the WebAssembly fetched and compiled;",
    "and of creating the model once more on the same page.", ""];
  const head = ["model", "ours", "theirs, main", "theirs, proxy", "ours / main", "again: ours", "again: theirs, main"];
  const row = ({ model, first, second, ratio }) =>
    [model, ms(first.isolated), ms(first.main), ms(first.proxy), plain(ratio), ms(second.isolated), ms(second.main)];
  return [...lines, ...table(head, found.map(row))];
}

export function bars(found) {
  if (found.length === 0) return [];
  const ratios = found.map(({ ratio }) => ratio);
  return [
    bar(`create and first run against theirs, geometric mean of ${ratios.length} models`, geometric(ratios), { most: MOST }),
    bar("create and first run against theirs, the worst model", largest(ratios), { most: MOST }),
  ];
}
