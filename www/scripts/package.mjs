// Puts a built package where `package.json` says that it is: `node scripts/package.mjs FOLDER`.
//
// By default the one that `cargo xtask npm` unpacked. It needs nothing that npm installs, since it runs before.

import { cpSync, existsSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const page = join(dirname(fileURLToPath(import.meta.url)), "..");
const folder = resolve(process.argv[2] ?? join(page, "../target/npm/package"));
const vendor = join(page, "vendor/inferry");

if (!existsSync(join(folder, "dist/index.js"))) {
  console.error(`there is no built package in ${folder}: run cargo xtask npm`);
  process.exit(1);
}
rmSync(vendor, { recursive: true, force: true });
cpSync(folder, vendor, { recursive: true });
