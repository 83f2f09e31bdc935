// How long one run takes, one after the other, at one thread and at two.

import { compared, timed } from "../rounds.mjs";
import { geometric, largest } from "../stats.mjs";
import { bar, ms, plain, table } from "../table.mjs";

export const title = "Latency";

/** Ours against theirs, by the count of threads; and ours on the thread that theirs is on, for comparison. */
const PAIRS = [
  { threads: 1, ours: "isolated1", theirs: "main", here: "inline" },
  { threads: 2, ours: "shared2", theirs: "main2" },
];

/** As often theirs at most. */
const MOST = 2;

export async function measure(lab, { models, rounds, attempt, same }) {
  const found = [];
  for (const { threads, ours, theirs, here } of PAIRS) {
    if (lab.possible([ours]).length === 0) continue;
    for (const model of models) {
      await attempt(`${model.name} at ${threads}`, () =>
        lab.with([ours, theirs, ...(here ? [here] : [])], model, async (pages) => {
          const wrong = same(model, pages[0], pages[1]);
          const times = await timed(pages, rounds);
          const row = { model: model.name, threads, ours: times[ours].median, theirs: times[theirs].median, inline: times[here]?.median };
          found.push({ ...row, ratio: compared(times, ours, theirs), ...(wrong && { wrong }) });
        }));
    }
  }
  return found;
}

export function report(found) {
  const lines = ["Milliseconds a run; theirs on the main thread, ours in a worker, with the way there and back (inline: on the main thread, too).", ""];
  const models = [...new Set(found.map(({ model }) => model))];
  const cells = (model, threads) => {
    const row = found.find((row) => row.model === model && row.threads === threads);
    const inline = threads === 1 ? [ms(row?.inline)] : [];
    return row ? [ms(row.ours), ms(row.theirs), plain(row.ratio), ...inline] : ["–", "–", "–", ...inline];
  };
  const head = ["model", "ours, 1 thread", "theirs", "ratio", "ours, inline", "ours, 2 threads", "theirs", "ratio"];
  return [...lines, ...table(head, models.map((model) => [model, ...cells(model, 1), ...cells(model, 2)]))];
}

export function bars(found) {
  return [1, 2].flatMap((threads) => {
    const ratios = found.filter((row) => row.threads === threads).map(({ ratio }) => ratio);
    if (ratios.length === 0) return [];
    const at = threads === 1 ? "1 thread" : "2 threads";
    const all = bar(`latency against theirs at ${at}, geometric mean of ${ratios.length} models`, geometric(ratios), { most: MOST });
    return [all, bar(`latency against theirs at ${at}, the worst model`, largest(ratios), { most: MOST })];
  });
}
