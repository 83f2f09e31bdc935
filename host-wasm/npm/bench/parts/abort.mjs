// How soon a run that is stopped has stopped, wherever it is, and whether its worker takes the next at once.
//
// Only ours: onnxruntime-web has no way to stop a run.

import { RECOGNISERS, DETECTORS, preferred } from "../models.mjs";
import { largest, median, percentile } from "../stats.mjs";
import { bar, ms, table } from "../table.mjs";

export const title = "Stopping a run";

const SIDES = ["isolated1", "isolatedWord", "shared1", "inline"];
const MODELS = [
  "basic_pitch/nmp",
  "blazeface_back256/face_detection_back_256x256_barracuda",
  "mlsd_tiny/mlsd_512x512_tiny",
  "minilm_int8/model",
];

/** Milliseconds, p99. */
const MOST = 10;

/** A run that is shorter than this is over before it can be stopped. */
const SHORTEST = 4;

export async function measure(lab, { models, attempt, quick }) {
  const names = [preferred(models, RECOGNISERS), preferred(models, DETECTORS)].map((model) => model?.name).concat(MODELS);
  const chosen = models.filter(({ name }) => names.includes(name));
  const found = [];
  for (const name of lab.possible(SIDES)) {
    for (const model of chosen) {
      await attempt(`${model.name}, ${name}`, () =>
        lab.with([name], model, async ([page]) => {
          const usual = await page.call("warm");
          if (usual < SHORTEST) return;
          // About ten seconds for each, and enough for a percentile all together.
          const count = quick ? 10 : Math.round(Math.min(60, Math.max(20, 5000 / usual)));
          const aborts = await page.call("stops", { count, usual });
          const timeouts = await page.call("stops", { count, usual, byTimeout: true });
          found.push({ side: name, model: model.name, usual, aborts, timeouts });
        }));
    }
  }
  return found;
}

/** Milliseconds that the next run took longer than usual. */
const extra = ({ usual }, { next }) => next.map((time) => time - usual);

function together(found, side, kind) {
  const rows = found.filter((row) => row.side === side);
  return { stopped: rows.flatMap((row) => row[kind].stopped), extra: rows.flatMap((row) => extra(row, row[kind])) };
}

export function report(found) {
  const lines = ["Milliseconds from `abort()`, or from when a timeout was due, to the rejection, over runs stopped at all points of their way;",
    "and by how much a run begun at once after it took longer than usual.", ""];
  const head = ["", "stopped", "p50", "p99", "longest", "next run, p50", "timeout, p50", "p99", "longest"];
  const rows = found.map((row) => line(`${row.model}, ${row.side}`, { stopped: row.aborts.stopped, extra: extra(row, row.aborts) }, row.timeouts.stopped));
  const sides = [...new Set(found.map(({ side }) => side))];
  const all = sides.map((side) => line(`all, ${side}`, together(found, side, "aborts"), together(found, side, "timeouts").stopped));
  return [...lines, ...table(head, [...rows, ...all])];
}

function line(name, { stopped, extra }, late) {
  const three = (times) => [ms(median(times)), ms(percentile(times, 0.99)), ms(largest(times))];
  return [name, stopped.length, ...three(stopped), ms(Math.max(0, median(extra))), ...three(late)];
}

export function bars(found) {
  return [...new Set(found.map(({ side }) => side))].flatMap((side) => {
    const [aborts, timeouts] = [together(found, side, "aborts"), together(found, side, "timeouts")];
    return [
      bar(`abort to rejection, ${side}, p99 of ${aborts.stopped.length}`, percentile(aborts.stopped, 0.99), { most: MOST }, " ms"),
      bar(`timeout to rejection, ${side}, p99 of ${timeouts.stopped.length}`, percentile(timeouts.stopped, 0.99), { most: MOST }, " ms"),
    ];
  });
}
