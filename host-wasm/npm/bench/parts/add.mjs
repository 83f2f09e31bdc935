// What a request costs beside its computing: a model of one Add of four numbers.

import { compared, timed } from "../rounds.mjs";
import { bar, ms, plain, table } from "../table.mjs";

export const title = "One Add";

const OURS = ["auto1", "isolated1", "inline", "isolatedWord", "shared1"];
const THEIRS = ["proxy", "main"];

/** As often their proxy's at most. */
const MOST = 0.5;

export async function measure(lab, { add, rounds, attempt, same }) {
  const found = {};
  const names = [...lab.possible(OURS), ...THEIRS];
  await attempt(add.name, () =>
    lab.with(names, add, async (pages) => {
      const theirs = pages.find(({ name }) => name === "main");
      for (const page of pages) same(add, page, theirs);
      const times = await timed(pages, rounds);
      for (const name of names) {
        found[name] = { ms: times[name].median, proxy: compared(times, name, "proxy"), main: compared(times, name, "main") };
      }
    }));
  return found;
}

const NAMES = {
  auto1: "ours, by default: on the main thread when it is warm",
  isolated1: "ours, isolated worker",
  isolatedWord: "ours, isolated worker, on a cross-origin isolated page",
  shared1: "ours, shared memory",
  inline: "ours, inline",
  proxy: "theirs, proxy",
  main: "theirs, main thread",
};

export function report(found) {
  const lines = ["One run after the other of a model of one Add of four numbers: what a request costs beside its computing.", ""];
  const rows = Object.entries(found).map(([name, { ms: time, proxy, main }]) => [NAMES[name], ms(1000 * time), plain(proxy), plain(main)]);
  return [...lines, ...table(["", "us a run", "of their proxy's", "of their main thread's"], rows)];
}

export function bars(found) {
  if (!found.isolated1) return [];
  return [bar("one Add through a worker against their proxy's", found.isolated1.proxy, { most: MOST })];
}
