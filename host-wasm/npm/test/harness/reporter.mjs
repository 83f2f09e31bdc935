// A reporter for `node --test` that prints what Rust's test harness prints, which `cargo xtask` can count.
//
// A suite is not a test: only what has no tests inside is counted. A file that fails to load is one failed test.

import { relative } from "node:path";

export default async function* report(events) {
  const outcomes = [];
  for await (const { type, data } of events) {
    if (type === "test:stdout" || type === "test:stderr") yield data.message;
    if ((type !== "test:pass" && type !== "test:fail") || data.details?.type === "suite") continue;
    // Node counts each file as a test around its tests; it says more than they do only when it failed by itself.
    const file = data.file ? relative(process.cwd(), data.file) : "";
    const around = data.nesting === 0 && data.name.endsWith(".mjs");
    if (around && (type === "test:pass" || outcomes.some((outcome) => outcome.file === file && outcome.failure))) continue;
    const error = data.details?.error;
    const failure = type === "test:fail" ? (error?.cause?.stack ?? error?.stack ?? String(error)) : undefined;
    const skipped = data.skip === undefined ? undefined : data.skip === true ? "no reason given" : data.skip;
    const outcome = { name: `${file}::${data.name}`, file, failure, skipped };
    outcomes.push(outcome);
    yield `test ${outcome.name} ... ${failure ? "FAILED" : "ok"}\n`;
  }
  const failed = outcomes.filter(({ failure }) => failure);
  yield "\nsuccesses:\n\n";
  for (const { name, skipped } of outcomes) if (skipped !== undefined) yield `---- ${name} stdout ----\nskipped: ${skipped}\n\n`;
  if (failed.length) yield "failures:\n\n";
  for (const { name, failure } of failed) yield `---- ${name} stdout ----\n${failure}\n\n`;
  yield `test result: ${failed.length ? "FAILED" : "ok"}. ${outcomes.length - failed.length} passed; ${failed.length} failed; 0 ignored\n`;
}
