// Whether the page freezes: the times between the ticks of a timer of 0 ms while a model is compiled and run a hundred times.

import { DETECTORS, preferred } from "../models.mjs";
import { gaps, largest, median, percentile } from "../stats.mjs";
import { bar, ms, table } from "../table.mjs";

export const title = "Gaps on the main thread";

/** Who is measured, with how many runs; `p999` is the most that the bar allows, in ms. */
const SIDES = [
  { name: "isolated", runs: 100, p999: 16, shown: "ours, isolated" },
  { name: "shared", runs: 100, p999: 16, shown: "ours, shared" },
  { name: "inline", runs: 100, p999: 25, shown: "ours, inline" },
  { name: "proxy", runs: 20, shown: "theirs, proxy (20 runs)" },
  { name: "main", runs: 20, shown: "theirs, main (20 runs)" },
];

/** By how much the longest gap may exceed that of the idle page, in ms. */
const MOST_ABOVE = 16;

/** The page idles so long before and after, in ms. */
const IDLE = 2500;

const ROUNDS = 5;

export async function measure(lab, { models, attempt, quick }) {
  const model = preferred(models, DETECTORS);
  const found = { model: model?.name, sides: [] };
  if (!model) return found;
  for (const { name, runs } of SIDES.filter(({ name }) => lab.possible([name]).length > 0)) {
    await attempt(`${model.name}, ${name}`, async () => {
      const each = [];
      for (let round = 0; round < (quick ? 1 : ROUNDS); round++) each.push(await once(lab, name, model, quick ? 10 : runs));
      const of = (key) => median(each.map((one) => one[key]));
      const [p999, longest, idleLongest, idle] = ["p999", "longest", "idleLongest", "idle"].map(of);
      found.sides.push({ name, runs, p999, longest, idle, idleLongest, above: of("above") });
    });
  }
  return found;
}

async function once(lab, name, model, runs) {
  const page = await lab.page(name);
  try {
    const { before, during, after } = await page.call("ticks", { model, runs, idle: IDLE });
    const [busy, idle] = [gaps(during), [...gaps(before), ...gaps(after)]];
    const [longest, idleLongest] = [largest(busy), largest(idle)];
    return { p999: percentile(busy, 0.999), longest, idle: percentile(idle, 0.999), idleLongest, above: longest - idleLongest };
  } finally {
    await page.close();
  }
}

export function report({ model, sides }) {
  const lines = [`Milliseconds between the ticks of a timer of 0 ms while ${model} is compiled and run a hundred times, medians of ${ROUNDS} runs;`,
    "idle: on the same page before and after.", ""];
  const rows = sides.map((side) => {
    const { shown } = SIDES.find(({ name }) => name === side.name);
    return [shown, ms(side.p999), ms(side.longest), ms(side.idle), ms(side.idleLongest)];
  });
  return [...lines, ...table(["", "p99.9", "longest", "idle p99.9", "idle longest"], rows)];
}

export function bars({ sides }) {
  return sides.flatMap((side) => {
    const { p999 } = SIDES.find(({ name }) => name === side.name);
    if (p999 === undefined) return [];
    return [
      bar(`gap on the main thread, ${side.name}, p99.9`, side.p999, { most: p999 }, " ms"),
      bar(`gap on the main thread, ${side.name}, the longest above the idle page's`, side.above, { most: MOST_ABOVE }, " ms"),
    ];
  });
}
