/**
 * A page that is left: reloaded in the middle of a run, or put away by the browser and brought back.
 *
 * What must hold is that no worker stays stuck: those of the page before are gone, and the page that is there computes.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { find, launch } from "../harness/chromium.mjs";
import { ISOLATED, serve } from "../harness/server.mjs";
import { folder } from "./support.mjs";

const PAGE = `<!doctype html>
<title>a page that is left</title>
<link rel="icon" href="data:,">
<script type="module">
  import { compile, createRuntime, Tensor } from "/package/dist/index.js";
  const inputs = (rows) => ({ x: new Tensor("float32", new Float32Array(rows * 256).fill(3), [rows, 256]) });
  // The driver loses sight of a page that is put away: what it finds afterwards it leaves in a place that others see.
  addEventListener("pageshow", async (event) => {
    if (!event.persisted) return;
    const found = { doing: doing() };
    model.dispose();
    found.ended = await ended;
    found.again = await begin();
    localStorage.setItem("found", JSON.stringify(found));
  });
  globalThis.begin = async () => {
    const runtime = await createRuntime({ workers: 2, executor: crossOriginIsolated ? "shared" : "isolated" });
    globalThis.model = await compile("/models/small/slow.onnx", { runtime });
    globalThis.mode = runtime.mode;
    globalThis.doing = () => runtime.status();
    return globalThis.once();
  };
  globalThis.once = async () => (await model.run(inputs(1))).most.data[0];
  // Longer than anybody waits, and stopped at the end of the test by the end of the page.
  globalThis.long = () => { globalThis.ended = model.run(inputs(8192), { timeout: 60_000 }).then(() => "done", (error) => error.code); };
  globalThis.ready = true;
</script>`;

const models = fileURLToPath(new URL("../../../../tests/models", import.meta.url));
const skip = find() ? false : "Chromium is not here";

/** Opens the page in a browser of its own, with two workers in the middle of a long run each. */
async function opened(t, headers, unwanted = []) {
  const other = "<!doctype html><title>another</title>";
  // Pages that must not be stored are never put away alive.
  const server = await serve({
    folders: { "/package/": folder, "/models/": models },
    pages: { "/": PAGE, "/other": other },
    headers: { ...headers, "Cache-Control": "no-cache" },
  });
  const { context, close } = await launch([], unwanted);
  t.after(async () => {
    await close();
    await server.close();
  });
  const page = await context.newPage();
  await page.goto(server.origin);
  await busy(page);
  return { page, server, context };
}

/** Loads a model and leaves both workers in the middle of a run. */
async function busy(page) {
  await page.waitForFunction(() => globalThis.ready);
  assert.equal(await page.evaluate(() => begin()), 3);
  await page.evaluate(() => (long(), long()));
  await page.waitForFunction(() => doing().every((status) => status === "running"));
}

for (const [mode, headers] of [["isolated", {}], ["shared", ISOLATED]]) {
  test(`a reload in the middle of a run leaves no worker behind (${mode})`, { skip }, async (t) => {
    const { page } = await opened(t, headers);
    assert.equal(await page.evaluate(() => mode), mode);
    const before = page.workers();
    assert.ok(before.length >= 2, `${before.length} workers`);
    for (let round = 0; round < 3; round++) {
      await page.reload();
      await busy(page);
    }
    const now = page.workers();
    assert.equal(now.length, before.length);
    assert.ok(!now.some((worker) => before.includes(worker)), "a worker of the page before is still there");
  });
}

test("a page that the browser put away and brought back goes on", { skip }, async (t) => {
  const { page, server, context } = await opened(t, {}, ["--disable-back-forward-cache"]);
  await page.goto(`${server.origin}/other`);
  const onlooker = await context.newPage();
  await onlooker.goto(`${server.origin}/other`);
  await page.evaluate(() => history.back());
  const found = await onlooker.waitForFunction(() => localStorage.getItem("found"), undefined, { timeout: 30_000 });
  // The two runs that were under way when the page was left went on with it, and did not outlast their model.
  assert.deepEqual(JSON.parse(await found.jsonValue()), { doing: ["running", "running"], ended: "disposed", again: 3 });
});
