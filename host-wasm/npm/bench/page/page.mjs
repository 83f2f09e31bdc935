// The page of the bench: holds one library with one model, and does with them what the driver asks through `globalThis.bench`.

import { feedsOf, sampled } from "./feeds.mjs";
import { inFlight, stops, ticks, time, warm } from "./measure.mjs";
import { open } from "./sides.mjs";

let library;
let session;
let feeds;

const run = (options) => session.run(feeds, options);

globalThis.bench = {
  /** Opens a library and a model: milliseconds until the model is made, of its first run, and of making it once more. */
  async first({ side, model, again = false }) {
    feeds = await feedsOf(model);
    const began = performance.now();
    library = await open(side);
    session = await library.create(model.address);
    const made = performance.now();
    const outputs = await run();
    const ran = performance.now();
    let second = NaN;
    if (again) {
      const other = await library.create(model.address);
      second = performance.now() - ran;
      await other.close();
    }
    return { create: made - began, run: ran - made, second, outputs: sampled(outputs) };
  },

  warm: (options) => warm(run, options),
  time: (options) => time(run, options),
  inFlight: (options) => inFlight(run, options),
  stops: (options) => stops(run, options),
  memory: () => library.memory(),
  workers: () => library.workers(),
  /** Where a run is computed now. */
  place: () => session.place(),

  /** Opens a library and a model and runs it, all while a timer ticks. */
  async ticks({ side, model, runs, idle }) {
    feeds = await feedsOf(model);
    const work = async () => {
      library = await open(side);
      session = await library.create(model.address);
      for (let i = 0; i < runs; i++) await run();
    };
    return ticks(work, { idle });
  },
};
