// How long one run takes, one after the other, at one thread and at two.

import { compared, timed } from "../rounds.mjs";
import { geometric, largest } from "../stats.mjs";
import { bar, ms, plain, table } from "../table.mjs";

export const title = "Latency";

/**
 * Ours against theirs, by the count of threads; and ours on the thread that theirs is on, for comparison. Ours is what a user
 * gets by default; the runs that make a side warm are enough for a tiny model to come to the page.
 */
const PAIRS = [
  { threads: 1, ours: "auto1", theirs: "main", here: "inline" },
  { threads: 2, ours: "auto2", theirs: "main2" },
];

/** As often theirs at most, in the mean and of the worst model, by the count of threads. */
const MOST = { 1: { mean: 0.7, worst: 1.1 }, 2: { mean: 0.9, worst: 1.1 } };

/** The same for models whose weights are bytes, which their names say. */
const BYTES = /int8|dynamic_u8|qdq/;
const MOST_OF_BYTES = 0.4;

export async function measure(lab, { models, rounds, attempt, same }) {
  const found = [];
  for (const { threads, ours, theirs, here } of PAIRS) {
    if (lab.possible([ours]).length === 0) continue;
    for (const model of models) {
      await attempt(`${model.name} at ${threads}`, () =>
        lab.with([ours, theirs, ...(here ? [here] : [])], model, async (pages) => {
          const wrong = same(model, pages[0], pages[1]);
          const times = await timed(pages, rounds);
          const row = { model: model.name, threads, ours: times[ours].median, theirs: times[theirs].median, inline: times[here]?.median, place: await pages[0].call("place") };
          found.push({ ...row, ratio: compared(times, ours, theirs), ...(wrong && { wrong }) });
        }));
    }
  }
  return found;
}

export function report(found) {
  const lines = ["Milliseconds a run; theirs on the main thread, ours as it is by default: in a worker, with the way there and back, or, where the table says so, on the main thread, to which tiny models move after some runs (inline: always on the main thread).", ""];
  const models = [...new Set(found.map(({ model }) => model))];
  const cells = (model, threads) => {
    const row = found.find((row) => row.model === model && row.threads === threads);
    const inline = threads === 1 ? [ms(row?.inline)] : [];
    const place = row?.place === "page" ? " (main)" : "";
    return row ? [`${ms(row.ours)}${place}`, ms(row.theirs), plain(row.ratio), ...inline] : ["–", "–", "–", ...inline];
  };
  const head = ["model", "ours, 1 thread", "theirs", "ratio", "ours, inline", "ours, 2 threads", "theirs", "ratio"];
  return [...lines, ...table(head, models.map((model) => [model, ...cells(model, 1), ...cells(model, 2)]))];
}

export function bars(found) {
  return [1, 2].flatMap((threads) => {
    const rows = found.filter((row) => row.threads === threads);
    if (rows.length === 0) return [];
    const name = `latency against theirs at ${threads === 1 ? "1 thread" : "2 threads"}`;
    const mean = (of, rows, most) => bar(`${name}, geometric mean of ${rows.length} ${of}`, geometric(rows.map(({ ratio }) => ratio)), { most });
    const bytes = rows.filter(({ model }) => BYTES.test(model));
    return [
      mean("models", rows, MOST[threads].mean),
      ...(threads === 1 && bytes.length > 0 ? [mean("models with weights of bytes", bytes, MOST_OF_BYTES)] : []),
      bar(`${name}, the worst model`, largest(rows.map(({ ratio }) => ratio)), { most: MOST[threads].worst }),
    ];
  });
}
