// Runs the tests of one file, in a page or in Node, and tells `report` of each: its name and limit when it begins, its
// outcome when it ends.
//
// The limit is the driver's business: a test that blocks this thread could not be stopped from here.

import { collected, models as know, Skip } from "./test.mjs";

/** The options of `compile` with which a model runs in a mode. */
export const OPTIONS = {
  isolated: { executor: "isolated" },
  shared: { executor: "shared" },
  inline: { executor: "inline" },
  node: {},
};

/**
 * `file` is the address of a file of tests; `filter` a part of `file::name` of those to run. `models` is the address of the
 * folder of test models, `list` says which have recorded outputs, and `fetchBytes` reads an address.
 */
export async function perform({ file, mode, filter = "", models, list, fetchBytes, inferry, report, extra = {} }) {
  know(list);
  await import(file);
  const stem = file.split("/").pop().replace(".mjs", "");
  const chosen = collected(mode).filter(({ name }) => `${stem}::${name}`.includes(filter));
  report({ kind: "file", count: chosen.length });
  for (const { name, run, limit } of chosen) {
    report({ kind: "begin", name, limit });
    const url = (path) => new URL(path, models).href;
    const t = {
      inferry,
      mode,
      options: OPTIONS[mode],
      url,
      bytes: (path) => fetchBytes(url(path)),
      skip: (why) => {
        throw new Skip(why);
      },
      ...extra,
    };
    const began = performance.now();
    let outcome = { kind: "passed" };
    try {
      await run(t);
    } catch (error) {
      outcome = error instanceof Skip
        ? { kind: "skipped", message: error.message }
        : { kind: "failed", message: describe(error) };
    }
    report({ ...outcome, name, took: performance.now() - began });
  }
  report({ kind: "end" });
}

/** What was thrown, with where, and what it was caused by. */
export function describe(error) {
  if (!(error instanceof Error)) return String(error);
  // In Chromium and Node the stack begins with the name and message.
  const code = "code" in error ? ` [${error.code}]` : "";
  const cause = error.cause === undefined ? "" : `\ncaused by: ${describe(error.cause)}`;
  return `${error.stack?.startsWith(String(error)) ? error.stack : `${error}\n${error.stack}`}${code}${cause}`;
}
