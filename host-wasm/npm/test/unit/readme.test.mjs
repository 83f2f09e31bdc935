// Every snippet of the package's README, run in its order as one program: what one declares, the next may use.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../../../..");
const built = process.env.INFERRY_PACKAGE ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "npm/package");

test("the snippets of the README do what they say", async () => {
  const readme = await readFile(join(here, "../../README.md"), "utf8");
  const snippets = [...readme.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code);
  assert.ok(snippets.length >= 7, `${snippets.length} snippets were found`);
  const folder = await mkdtemp(join(tmpdir(), "inferry-readme-"));
  try {
    await mkdir(join(folder, "node_modules"));
    await symlink(built, join(folder, "node_modules/inferry"));
    await copyFile(join(root, "tests/models/small/scores.onnx"), join(folder, "model.onnx"));
    await copyFile(join(root, "tests/models/small/counter.onnx"), join(folder, "counter.onnx"));
    await writeFile(join(folder, "readme.mjs"), snippets.join("\n"));
    const { stdout } = await promisify(execFile)(process.execPath, ["readme.mjs"], { cwd: folder, timeout: 60_000 });
    // What the comments in the snippets promise.
    for (const says of ["cancelled the user went on", "displaced", "fulfilled", "done [ 1, 3 ]", "\n6\n", "inline ", "[ 'scores' ] [ 1, 3 ]", "mean 3", "cascade [ 0, 0, 0 ]", "int4 5 3", "picture [ 1, 3 ]", "trace true", "guarded 1"]) {
      assert.ok(stdout.includes(says), `nothing says ${JSON.stringify(says)}:\n${stdout}`);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
