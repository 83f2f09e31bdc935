/**
 * The harness itself: what the driver makes of tests that hold, fail, skip, leave errors behind, and never end.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { find } from "./chromium.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Runs the trial in a mode over a package that has nothing in it. */
function trial(mode) {
  const fake = mkdtempSync(join(tmpdir(), "inferry-trial-"));
  try {
    mkdirSync(join(fake, "dist"));
    writeFileSync(join(fake, "package.json"), '{ "type": "module" }');
    for (const entry of ["index.js", "node.js"]) writeFileSync(join(fake, "dist", entry), "export const nothing = 0;\n");
    const command = [path("run.mjs"), "--package", fake, "--cases", path("trial"), "--mode", mode];
    return spawnSync(process.execPath, command, { encoding: "utf8", timeout: 120_000 });
  } finally {
    rmSync(fake, { recursive: true, force: true });
  }
}

function verdicts(output) {
  const lines = [...output.matchAll(/^test \w+::trial::(.*) \.\.\. (ok|FAILED)$/gm)];
  return Object.fromEntries(lines.map(([, name, verdict]) => [name, verdict]));
}

const COMMON = {
  "holds": "ok",
  "does not hold": "FAILED",
  "rejects otherwise": "FAILED",
  "has no model": "ok",
  "blocks for ever": "FAILED",
  "the rest": "FAILED",
};

test("in Node a test that blocks is ended, and what came of the others is said", () => {
  const { status, stdout } = trial("node");
  assert.deepEqual(verdicts(stdout), COMMON);
  assert.equal(status, 1);
  assert.match(stdout, /the pair: found \[1,2\], expected \[1,3\]/);
  assert.match(stdout, /---- node::trial::has no model stdout ----\nskipped: no model there\.onnx/);
  assert.match(stdout, /hung: no word for 1 s/);
  assert.match(stdout, /test result: FAILED\. 2 passed; 4 failed;/);
});

for (const mode of ["isolated", "shared"]) {
  test(`in Chromium too, with an error that nobody caught (${mode})`, { skip: find() ? false : "Chromium is not here" }, () => {
    const { status, stdout } = trial(mode);
    const pages = { "leaves an error to nobody": "FAILED", "is isolated just when it shall be": "ok" };
    assert.deepEqual(verdicts(stdout), { ...COMMON, ...pages });
    assert.equal(status, 1);
  });
}
