// The system's Chromium, driven by playwright-core: found, started with an empty profile, and ended.
//
// Only the process that was started here is ever ended, by its own handle. Which pages are opened is up to the caller.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

const FLAGS = [
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
];

/** The path of a Chromium: `CHROME`, or the first on the path; `undefined` when there is none. */
export function find() {
  if (process.env.CHROME) return process.env.CHROME;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync);
}

/** Starts it, without those of the driver's own flags that are unwanted. `close` ends it and waits no longer than a few seconds for it. */
export async function launch(flags = [], unwanted = []) {
  const executablePath = find();
  if (!executablePath) throw new Error("Chromium is not here: install it (on Debian, apt-get install chromium) or set CHROME");
  const profile = mkdtempSync(join(tmpdir(), "inferry-chromium-"));
  // The sandbox refuses to run for root.
  const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: [...FLAGS, ...root, ...flags],
    ignoreDefaultArgs: unwanted,
    timeout: 60_000,
  });
  const close = async () => {
    await Promise.race([context.close().catch(() => {}), after(10_000)]);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { context, close };
}

/** Resolves with `value` after `ms`, and keeps no process alive for it. */
export function after(ms, value) {
  return new Promise((resolve) => setTimeout(resolve, ms, value).unref());
}
