// The cockpit: cancelling, the hard mode, the settings, the trace.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { SELDOM, SHOWN, open, press, texts, visit } from "./support/page.mjs";

for (const plain of [false, true]) {
  const where = plain ? "plain page" : "isolated page";
  let opened;
  let page;
  before(async () => {
    opened = await open({ plain });
    page = opened.page;
  });
  after(() => opened.close());

  test(`${where}: says which mode it is, and why`, async () => {
    const mode = await page.locator("#mode").textContent();
    assert.match(mode, plain ? /plain page/ : /cross-origin isolated/);
    assert.equal(await page.getByLabel("Threads a run").isDisabled(), plain);
    assert.match(await page.locator(".mode").textContent(), plain ? /sends no isolation headers/ : /sends the headers/);
  });

  test(`${where}: of 200 hard requests exactly the right ones fail`, async () => {
    assert.match(await hard(page), /^Exactly the right 87 failed, and 113 gave their own answer, in /);
    const rows = await page.locator("[data-kind]").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
    assert.equal(rows.length, 5);
    for (const [kind, asked, , did, refused, other] of rows) assert.deepEqual([did, refused, other], [asked, "0", "0"], kind);
  });

  test(`${where}: Cancel stops it in the middle, and all goes on afterwards`, async () => {
    // On a quick machine all may be over before the cockpit looks for the next time, or before the button is pressed.
    for (let stopped = false; !stopped; ) {
      await page.getByRole("button", { name: "Make it hard" }).click();
      stopped = await page.evaluate(() => new Promise((resolve) => {
        const observer = new MutationObserver(() => {
          const isRunning = document.querySelector("[data-figure=running]").textContent !== "0";
          const isOver = !/Under way/.test(document.querySelector(".verdict").textContent);
          if (!isRunning && !isOver) return;
          observer.disconnect();
          if (isRunning) [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Cancel").click();
          resolve(isRunning);
        });
        document.querySelector(".stopped").textContent = "";
        observer.observe(document.querySelector(".beside"), { subtree: true, childList: true, characterData: true });
      }));
      if (!stopped) continue;
      await page.waitForFunction(() => /^(Stopped|Nothing) /.test(document.querySelector(".stopped").textContent));
      stopped = /^Stopped [1-9]/.test(await page.locator(".stopped").textContent());
    }
    const said = await page.locator(".stopped").textContent();
    const [, runs] = said.match(/^Stopped (\d+) requests?: told after [\d.]+ m?s, workers idle after [\d.]+ m?s\.$/) ?? assert.fail(said);
    assert.ok(Number(runs) > 0);
    assert.equal(await page.locator(".verdict").textContent(), "Stopped by you, before all had ended.");
    await visit(page, "lines");
    await press(page, "Find lines in the sample");
  });
}

test("a queue that refuses: each is right or refused", async (t) => {
  const { page } = await open({}, t);
  for (const policy of ["reject", "drop-oldest", "latest"]) {
    await page.getByLabel("Full queue").selectOption(policy);
    assert.match(await hard(page), /^Exactly the right \d+ failed \(\d+ of them by the policy of the queue\)/, policy);
  }
});

test("workers: another number, and threads over shared memory", async (t) => {
  const { page } = await open({ panel: "lines" }, t);
  await press(page, "Find lines in the sample");
  await page.getByRole("slider", { name: "Workers" }).fill("1");
  await press(page, "Find lines in the sample");
  assert.equal((await texts(page, ".workers .name")).length, 1);
  await page.getByLabel("Threads a run").fill("2");
  await press(page, "Find lines in the sample");
  assert.match(await page.locator("#mode").textContent(), /^Shared memory, 2 threads a run$/);
  assert.match(await page.locator(`${SHOWN} .status-text`).textContent(), /^19 lines/);
});

test("the trace is a file that Perfetto opens, with a run in it", async (t) => {
  const { page } = await open({ panel: "lines" }, t);
  await press(page, "Find lines in the sample");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save trace" }).click()]);
  const { traceEvents } = JSON.parse(readFileSync(await download.path(), "utf8"));
  assert.ok(traceEvents.some(({ name, ph }) => name === "run" && ph === "X"));
});

test("what is shown is what was measured: stages add up, the list names the model", async (t) => {
  const { page } = await open({ panel: "lines" }, t);
  await press(page, "Find lines in the sample");
  await page.getByText("The latest requests").click();
  await page.waitForSelector(".latest tbody tr");
  const [row] = await page.locator(".latest tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
  assert.equal(row[0], "tiny_512.onnx");
  assert.equal(row[3], "done");
  await page.waitForFunction(() => /done/.test(document.querySelector(".timeline canvas").getAttribute("aria-label")));
});

for (const [where, init] of [["a worker", undefined], ["the page's thread, where workers get no canvases", () => delete HTMLCanvasElement.prototype.transferControlToOffscreen]]) {
  test(`what runs is painted, in ${where}`, async (t) => {
    const { page } = await open({ panel: "speech", init }, t);
    const painted = () => page.evaluate(() => ["#panel-speech .strip", ".timeline canvas", ".cockpit .strip"].map((selector) => {
      const canvas = document.querySelector(selector);
      const copy = new OffscreenCanvas(canvas.clientWidth, canvas.clientHeight).getContext("2d");
      copy.drawImage(canvas, 0, 0, canvas.clientWidth, canvas.clientHeight);
      const colours = new Set(new Uint32Array(copy.getImageData(0, 0, canvas.clientWidth, canvas.clientHeight).data.buffer));
      return colours.size;
    }));
    const before = await painted();
    await press(page, "Hear the sample");
    // The strips follow a little later; should they not, the test runs out of time.
    for (let after = before; !after.every((colours, at) => colours > 2 && (at > 0 || colours > before[at])); ) after = await painted();
    assert.ok((await page.locator(".words span").count()) > 3);
  });
}

/** The hard mode from the press of its button to its verdict. */
async function hard(page) {
  await page.getByRole("button", { name: "Make it hard" }).click();
  await page.waitForFunction(() => {
    const verdict = document.querySelector(".verdict");
    return verdict.textContent !== "" && !/Under way/.test(verdict.textContent) && !document.querySelector("#hard[hidden]");
  }, undefined, SELDOM);
  return page.locator(".verdict").textContent();
}
