// The built page in a headless Chromium, for tests: a server, a browser, a page, and everything that went wrong in it.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "../../../host-wasm/npm/test/harness/chromium.mjs";
import { ISOLATED, serve } from "../../../host-wasm/npm/test/harness/server.mjs";

const here = dirname(fileURLToPath(import.meta.url));

/** Where the page was built. */
export const DIST = join(here, "../../dist");

/** The repository, for samples and right answers. */
export const ROOT = join(here, "../../..");

/** A camera and a microphone that are always there and never asked for. */
const DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** How to wait: the driver would look with every frame, and so make the page draw all the time. */
export const SELDOM = { timeout: 120_000, polling: 100 };

/** The panel that is shown; those that were shown before are there, too. */
export const SHOWN = ".panel:not(.away)";

/** The panels: the address, the button of the sample. */
export const PANELS = [
  ["text", "Read the sample"],
  ["faces", "Find faces in the sample"],
  ["speech", "Hear the sample"],
  ["lines", "Find lines in the sample"],
  ["files", "Name nine samples"],
  ["bench", "Use a sample: BlazeFace"],
];

/** Everything there is to run on samples, one after the other. */
const ALL = [["text", "Read the sample"], ["faces", "Find faces in the sample"], ["speech", "Hear the sample"],
  ["speech", "Take the noise out of a sample"], ["lines", "Find lines in the sample"], ["files", "Name nine samples"]];

/**
 * Opens the page. `plain`: from a server without headers; `init`: what the browser does before the page. Gives the page, the server, the errors of the page, and `close`, which
 * throws when there were any, and is called after `t`, the test, if it is given.
 */
export async function open({ plain = false, panel = "", size = DESKTOP, colorScheme = "light", base = "/", init } = {}, t) {
  if (!existsSync(join(DIST, "index.html"))) throw new Error("the page has not been built: npm run build");
  const server = await serve({ folders: { [base]: DIST }, headers: plain ? {} : ISOLATED });
  const { context, close } = await launch(DEVICES);
  const errors = [];
  const end = async () => {
    await close();
    await server.close();
    if (errors.length > 0) throw new Error(`the page reported:\n${errors.join("\n")}`);
  };
  t?.after(end);
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  if (init) await page.addInitScript(init);
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme });
  await page.goto(`${server.origin}${base}${panel && `#${panel}`}`);
  await page.waitForSelector(".panel");
  return { page, context, server, errors, close: end };
}

/** Presses a button of the panel and waits for its end; gives what it said. */
export async function press(page, name, state = "done") {
  await page.locator(SHOWN).getByRole("button", { name, exact: true }).click();
  return settled(page, state);
}

/** Waits until the panel has ended; gives what it said. */
export async function settled(page, state = "done") {
  await page.waitForFunction(() => {
    const panel = document.querySelector(".panel:not(.away)");
    return panel?.dataset.state !== undefined && panel.dataset.state !== "busy";
  }, undefined, SELDOM);
  const said = await page.locator(`${SHOWN} .status-text`).textContent();
  const got = await page.locator(SHOWN).getAttribute("data-state");
  if (got !== state) throw new Error(`the panel ended as ${got}, not as ${state}: ${said}`);
  return said;
}

/** Goes to another panel by the list. */
export async function visit(page, panel) {
  await page.locator(`nav a[href="#${panel}"]`).click();
  await page.waitForSelector(`#panel-${panel}:not(.away)`);
}

/** The texts of all elements that a selector finds. */
export function texts(page, selector) {
  return page.locator(selector).allTextContents();
}

/**
 * Runs every panel on its sample, and then the hard mode. The page presses its own buttons: what a driver looks up before it
 * presses one is no work of the page's.
 */
export async function everything(page) {
  const mistakes = await page.evaluate(async (all) => {
    const until = (holds) => new Promise((resolve) => {
      const look = () => {
        if (!holds()) return false;
        observer.disconnect();
        resolve();
        return true;
      };
      const observer = new MutationObserver(look);
      if (!look()) observer.observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "data-state", "data-tone"] });
    });
    const mistakes = [];
    for (const [panel, sample] of all) {
      document.querySelector(`nav a[href="#${panel}"]`).click();
      const shown = () => document.querySelector(`#panel-${panel}:not(.away)`);
      await until(shown);
      const element = shown();
      [...element.querySelectorAll("button")].find(({ textContent }) => textContent === sample).click();
      await until(() => element.dataset.state !== "busy");
      if (element.dataset.state !== "done") mistakes.push(`${sample}: ${element.querySelector(".status-text").textContent}`);
    }
    const verdict = document.querySelector(".verdict");
    [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Make it hard").click();
    await until(() => ["good", "bad"].includes(verdict.dataset.tone));
    if (verdict.dataset.tone !== "good") mistakes.push(verdict.textContent);
    return mistakes;
  }, ALL);
  if (mistakes.length > 0) throw new Error(mistakes.join("\n"));
}
