// For everybody: keyboard, screen readers, little bandwidth, no network, both appearances, no jumps.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { DIST, PANELS, PHONE, SELDOM, open, press, settled, visit } from "./support/page.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The most that the first view may fetch, in bytes as gzip sends them. */
const FIRST_VIEW = 1_200_000;

/** The most that the page may jump while it is used, as browsers count it (0.1 is said to be good). */
const SHIFT = 0.02;

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing, ${colorScheme}, before and after use`, async (t) => {
    const { page } = await open({ colorScheme }, t);
    await page.evaluate(AXE);
    for (const [panel, sample] of PANELS) {
      await visit(page, panel);
      await check(page, `${panel}, untouched`);
      await press(page, sample);
      await check(page, `${panel}, used`);
    }
    await page.getByRole("button", { name: "Make it hard" }).click();
    await page.waitForFunction(() => /^Exactly/.test(document.querySelector(".verdict").textContent), undefined, SELDOM);
    await check(page, "hard mode");
  });
}

test("the keyboard: every panel can be reached and used, and the focus is seen", async (t) => {
  const { page } = await open({}, t);
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "Skip to the panel");
  for (const [index, [panel, sample]] of PANELS.entries()) {
    await page.locator("nav a").nth(index).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector(`#panel-${panel}:not(.away)`);
    assert.equal(await page.locator("nav a").nth(index).getAttribute("aria-current"), "page");
    await tabTo(page, sample);
    await page.keyboard.press("Enter");
    await settled(page);
  }
  for (const name of ["Cancel", "Make it hard", "Save trace", "Workers", "Priority"]) await tabTo(page, name);
});

test("the address and the title follow what is shown, and going back shows it again", async (t) => {
  const { page } = await open({}, t);
  const settled = (panel, title) => page.waitForFunction(([hash, title]) => location.hash === hash && document.title === title, [`#${panel}`, title], SELDOM);
  await visit(page, "faces");
  await settled("faces", "Find faces · Inferry");
  // Of what follows each other at once, only the last is an address.
  await page.evaluate(() => ["lines", "files"].forEach((panel) => document.querySelector(`nav a[href="#${panel}"]`).click()));
  await settled("files", "Name this file · Inferry");
  await page.goBack();
  await page.waitForSelector("#panel-faces:not(.away)");
  await settled("faces", "Find faces · Inferry");
  assert.equal(await page.locator("nav a[aria-current]").textContent(), "Find faces");
  // What is asked for by the address counts more than what was asked for before.
  await page.evaluate(() => {
    document.querySelector('nav a[href="#lines"]').click();
    location.hash = "bench";
  });
  await settled("bench", "Bench · Inferry");
  await page.waitForSelector("#panel-bench");
});

test("the first view fetches little, and nothing of the engine", async (t) => {
  const { page, server } = await open({}, t);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await page.waitForLoadState("networkidle");
  const paths = server.fetched.map((path) => (path === "/" ? "/index.html" : path));
  const bytes = paths.reduce((sum, path) => sum + gzipSync(readFileSync(join(DIST, path))).length, 0);
  assert.ok(bytes <= FIRST_VIEW, `${bytes} bytes: ${paths.join(" ")}`);
  assert.deepEqual(paths.filter((path) => /engine|models\/|ort/.test(path)), []);
  console.log(`# first view: ${bytes} bytes of gzip in ${paths.length} files, what is kept for offline included`);
});

test("without a network: what was used once is there again", async (t) => {
  const { page, context, errors } = await open({ panel: "files" }, t);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await press(page, "Name nine samples");
  await page.waitForFunction(async () => {
    for (const name of await caches.keys()) for (const { url } of await (await caches.open(name)).keys()) if (/engine[^/]*\.wasm$/.test(url)) return true;
    return false;
  });
  await context.setOffline(true);
  await page.reload();
  await page.waitForSelector("#panel-files");
  assert.match(await press(page, "Name nine samples"), /^9 files named/);
  await visit(page, "speech");
  await context.setOffline(false);
  // What is not kept, such as the icon, the browser reports by itself.
  errors.splice(0, errors.length, ...errors.filter((error) => !/ERR_INTERNET_DISCONNECTED/.test(error)));
});

for (const [where, size] of [["desktop", undefined], ["phone", PHONE]]) {
  test(`nothing jumps while it is used, and nothing is cut off: ${where}`, async (t) => {
    const { page } = await open({ ...(size && { size }) }, t);
    await page.evaluate(() => {
      window.shifts = [];
      new PerformanceObserver((list) => {
        for (const { value, sources } of list.getEntries()) {
          window.shifts.push([value, sources.map(({ node }) => node?.id || node?.className || node?.nodeName).join(" ")]);
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    for (const [panel, sample] of PANELS) {
      await visit(page, panel);
      // Another panel is another view: what lies below it may lie elsewhere. The sample comes a little later.
      await page.waitForTimeout(500);
      await page.evaluate(() => (window.shifts.length = 0));
      await press(page, sample);
      await page.waitForTimeout(100);
      const shifts = await page.evaluate(() => window.shifts);
      const sum = shifts.reduce((sum, [value]) => sum + value, 0);
      assert.ok(sum <= SHIFT, `${panel} jumped by ${sum}: ${JSON.stringify(shifts)}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${panel} is ${wide} pixels too wide`);
    }
  });
}

test("the appearance follows the system, and then the button, which is remembered", async (t) => {
  const { page } = await open({ colorScheme: "dark" }, t);
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), "dark");
  await page.getByRole("button", { name: "Dark appearance" }).click();
  assert.equal(await theme(), "light");
  await page.reload();
  await page.waitForSelector(".panel");
  assert.equal(await theme(), "light");
});

test("static files in a folder of some server, without headers, are enough", async (t) => {
  const { page } = await open({ plain: true, base: "/some/folder/", panel: "lines" }, t);
  assert.match(await press(page, "Find lines in the sample"), /^19 lines/);
});

async function check(page, what) {
  const violations = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary.split("\n")[1]}`).join(" | ")}`);
  });
  assert.deepEqual(violations, [], what);
}

/** The name of what has the focus. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    return element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
  });
}

/** Presses Tab until something has the focus; what has it on the way must show it. */
async function tabTo(page, name) {
  for (let presses = 0; presses < 80; presses++) {
    await page.keyboard.press("Tab");
    const shown = await page.evaluate(() => {
      const element = document.activeElement;
      const seen = element.closest("label.button") ?? element;
      return element === document.body || getComputedStyle(seen).outlineStyle !== "none";
    });
    assert.ok(shown, `the focus on ${await focused(page)} is not seen`);
    if ((await focused(page)) === name) return;
  }
  assert.fail(`${name} cannot be reached by Tab`);
}
