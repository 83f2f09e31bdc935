// The page's thread stays free while everything runs: the times between the ticks of a timer of 0 ms.
//
// Other programs on the machine take their turns, too, so the best of some rounds counts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SELDOM, open, press, visit } from "./support/page.mjs";

/** The most that 999 of 1000 gaps may be, in milliseconds. */
const BAR = 25;
const ROUNDS = 3;

/** What is run, one after the other. */
const ALL = [["text", "Read the sample"], ["faces", "Find faces in the sample"], ["speech", "Hear the sample"],
  ["speech", "Take the noise out of a sample"], ["lines", "Find lines in the sample"], ["files", "Name nine samples"]];

test(`the p99.9 gap is at most ${BAR} ms while all panels and the hard mode run`, async (t) => {
  const { page } = await open({}, t);
  const found = [];
  for (let round = 0; round < ROUNDS && !found.some((gap) => gap <= BAR); round++) {
    await page.evaluate(() => {
      const gaps = (window.gaps = []);
      let last = performance.now();
      const tick = () => {
        const now = performance.now();
        gaps.push(now - last);
        last = now;
        if (window.gaps === gaps) setTimeout(tick, 0);
      };
      setTimeout(tick, 0);
    });
    for (const [panel, sample] of ALL) {
      await visit(page, panel);
      await press(page, sample);
    }
    await page.getByRole("button", { name: "Make it hard" }).click();
    await page.waitForFunction(() => !/Under way/.test(document.querySelector(".verdict").textContent), undefined, SELDOM);
    const gaps = await page.evaluate(() => {
      const { gaps } = window;
      window.gaps = undefined;
      return gaps.sort((a, b) => a - b);
    });
    found.push(gaps[Math.ceil(gaps.length * 0.999) - 1]);
    console.log(`# p99.9 ${found.at(-1).toFixed(1)} ms, p99 ${gaps[Math.ceil(gaps.length * 0.99) - 1].toFixed(1)} ms, longest ${gaps.at(-1).toFixed(1)} ms of ${gaps.length} gaps`);
  }
  assert.ok(Math.min(...found) <= BAR, `p99.9 in ${found.length} rounds: ${found.map((gap) => gap.toFixed(1)).join(", ")} ms`);
});
