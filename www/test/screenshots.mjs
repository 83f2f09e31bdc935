// Writes pictures of every panel, used, at the sizes of a desktop and of a phone: `node test/screenshots.mjs FOLDER`.

import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { DESKTOP, PANELS, PHONE, SELDOM, open, press, visit } from "./support/page.mjs";

const folder = resolve(process.argv[2] ?? "../docs/www");
mkdirSync(folder, { recursive: true });

for (const [where, size, colorScheme] of [["desktop", DESKTOP, "light"], ["dark", DESKTOP, "dark"], ["phone", PHONE, "light"]]) {
  const { page, close } = await open({ size, colorScheme });
  for (const [panel, sample] of PANELS) {
    await visit(page, panel);
    await press(page, sample);
    if (panel === "bench") await press(page, "Measure");
    if (panel === "speech") await press(page, "Take the noise out of a sample");
    await shot(page, `${panel}-${where}`);
  }
  await visit(page, "text");
  await page.getByRole("button", { name: "Make it hard" }).click();
  await page.waitForFunction(() => /^Exactly/.test(document.querySelector(".verdict").textContent), undefined, SELDOM);
  await shot(page, `hard-${where}`);
  await close();
}

async function shot(page, name) {
  // The cockpit shows what was until now, some times a second.
  await page.waitForTimeout(700);
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  console.log(name);
}
