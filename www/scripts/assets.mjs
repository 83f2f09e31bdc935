// Copies models and samples from the repository into `public/`, as `models.json` and `samples.json` name them.
//
// Licence files go beside what they are for. A file that is missing or has another size is said, with what to do, and
// nothing is built.

import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const page = join(dirname(fileURLToPath(import.meta.url)), "..");
const repository = join(page, "..");
const target = join(page, "public");

const listed = (file) => Object.entries(JSON.parse(readFileSync(join(page, file), "utf8")).files);
const files = [
  ...listed("models.json").map(([name, file]) => [join("models", name), file]),
  ...listed("samples.json"),
];

const problems = [];
for (const folder of ["models", "samples"]) rmSync(join(target, folder), { recursive: true, force: true });
for (const [name, { from, bytes, licences }] of files) {
  const found = statSync(join(repository, from), { throwIfNoEntry: false });
  if (!found) {
    problems.push(`${from} is missing${from.startsWith(".models/") ? ": run cargo xtask models" : ""}`);
    continue;
  }
  if (bytes !== undefined && found.size !== bytes) problems.push(`${from} has ${found.size} bytes, not ${bytes}`);
  const to = join(target, name);
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(join(repository, from), to);
  for (const licence of licences) copyFileSync(join(repository, licence), join(dirname(to), beside(licence)));
}
// The typeface is built in; npm brings its licence along.
mkdirSync(join(target, "licences"), { recursive: true });
copyFileSync(join(page, "node_modules/@fontsource-variable/inter/LICENSE"), join(target, "licences/inter.txt"));

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}

/** Several terms lie in one folder of samples: `LICENSE` of `dtln` becomes `LICENSE-dtln`. */
function beside(licence) {
  return `${basename(licence)}-${basename(dirname(licence))}`;
}
