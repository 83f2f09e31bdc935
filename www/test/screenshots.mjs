// Writes pictures of every panel, used, at the sizes of a desktop and of a phone: `node test/screenshots.mjs FOLDER`.

import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DESKTOP, PANELS, PHONE, SELDOM, open, press, visit } from "./support/page.mjs";

const folder = resolve(process.argv[2] ?? "../docs/www");
mkdirSync(folder, { recursive: true });

for (const [where, size, colorScheme] of [["desktop", DESKTOP, "light"], ["phone", PHONE, "dark"]]) {
  const { page, context, close } = await open({ size, colorScheme });
  for (const [panel, sample] of PANELS) {
    await visit(page, panel);
    await press(page, sample);
    if (panel === "bench") await press(page, "Measure");
    if (panel === "speech") await press(page, "Take the noise out of a sample");
    await shot(context, page, `${panel}-${where}`);
  }
  await close();
  // Anew: what onnxruntime-web did to the page's thread is not to be seen beside what we do.
  await hard({ size, colorScheme }, where);
}

async function hard(options, where) {
  const { page, context, close } = await open(options);
  await press(page, "Read the sample");
  await page.getByRole("button", { name: "Make it hard" }).click();
  await page.waitForFunction(() => /^Exactly/.test(document.querySelector(".verdict").textContent), undefined, SELDOM);
  await shot(context, page, `hard-${where}`);
  await close();
}

async function shot(context, page, name) {
  // The cockpit shows what was until now, some times a second.
  await page.waitForTimeout(700);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const { width } = page.viewportSize();
  // The driver writes no WebP, which is a third of the bytes.
  const session = await context.newCDPSession(page);
  const clip = { x: 0, y: 0, width, height, scale: 1 };
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80, clip, captureBeyondViewport: true });
  writeFileSync(join(folder, `${name}.webp`), Buffer.from(data, "base64"));
  await session.detach();
  console.log(name);
}
