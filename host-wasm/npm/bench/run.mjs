// Measures this package and onnxruntime-web in one Chromium: `node run.mjs --package FOLDER --ort FOLDER --work FOLDER`.
//
// `cargo xtask bench-web` calls it and says what the options mean. Every part is a file in `parts/`: `measure` fills an
// object, `report` makes a table of it, `bars` holds it against what was promised. A measurement that fails is named and
// leaves the others be. The tables are written to WORK/table.md, everything to WORK/found.json.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Lab, firstLine } from "./lab.mjs";
import { models, speedModels, tolerances, writeAdd } from "./models.mjs";
import { difference } from "./same.mjs";
import { verdict } from "./table.mjs";

/** The parts in the order of the table. */
const PARTS = ["latency", "create", "add", "throughput", "gaps", "abort", "memory"];

const root = resolve(fileURLToPath(new URL(".", import.meta.url)), "../../..");
const { values: asked } = parseArgs({
  options: {
    package: { type: "string" },
    ort: { type: "string" },
    work: { type: "string" },
    speed: { type: "string", default: "" },
    only: { type: "string" },
    rounds: { type: "string", default: "5" },
    models: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
    keep: { type: "string" },
  },
});
const chosen = asked.only?.split(",") ?? PARTS;
const unknown = chosen.find((part) => !PARTS.includes(part));
if (unknown) throw new Error(`no such part: ${unknown} (there are ${PARTS.join(", ")})`);

const carried = join(root, "tests/models");
const made = join(asked.work, "models");
const add = writeAdd(made);
const filters = asked.models.split(",");
const all = [...models([carried, join(root, ".models")]), ...speedModels(asked.speed)].filter(({ name }) => filters.some((filter) => name.includes(filter)));
const tolerance = tolerances(carried);

/** An earlier `found.json`: parts that are not measured now are taken from there, and say so. */
const kept = asked.keep && JSON.parse(readFileSync(asked.keep, "utf8"));

/** What went wrong, and what differed, a line each. */
const problems = [];
const lab = await Lab.open({ "/package/": asked.package, "/ort/": join(asked.ort, "dist"), "/models/": [carried, join(root, ".models"), made], "/speed/": asked.speed || [] });
const found = { ...about(), chromium: await lab.version(), parts: {}, bars: [], problems };
const sections = [];
try {
  if (!lab.hasShared) console.log("the engine for shared memory has not been built: its columns stay empty");
  for (const name of PARTS.filter((name) => chosen.includes(name) || kept?.parts[name])) {
    const part = await import(`./parts/${name}.mjs`);
    console.log(`\n${part.title}`);
    const isNew = chosen.includes(name);
    const settings = { models: all, add, rounds: Number(asked.rounds), quick: asked.quick, attempt, same };
    const result = isNew ? await part.measure(lab, settings) : kept.parts[name];
    const [lines, bars] = [part.report(result), part.bars(result)];
    if (!isNew) lines.unshift(`Of inferry ${kept.inferry}, measured ${kept.date}.`, "");
    console.log(lines.join("\n"));
    for (const bar of bars) console.log(verdict(bar));
    found.parts[name] = result;
    found.bars.push(...bars.map((bar) => ({ part: name, ...bar })));
    sections.push("", `### ${part.title}`, "", ...lines, ...bars.map((bar) => `- ${verdict(bar)}`));
  }
} finally {
  await lab.close();
}
for (const problem of problems) console.log(`problem: ${problem}`);
writeFileSync(join(asked.work, "found.json"), `${JSON.stringify(found, null, 1)}\n`);
writeFileSync(join(asked.work, "table.md"), `${[heading(), ...sections, ...notes()].join("\n")}\n`);
const wrong = problems.filter((problem) => problem.includes("differs"));
// Of what differs, no time is worth anything.
process.exit(wrong.length ? 1 : 0);

/** Does one measurement; one that fails is a line among the problems. */
async function attempt(what, measure) {
  const began = performance.now();
  try {
    await measure();
    process.stderr.write(`  ${what}: ${((performance.now() - began) / 1000).toFixed(1)} s\n`);
  } catch (error) {
    problems.push(`${what}: ${firstLine(error)}`);
    process.stderr.write(`  ${what}: ${firstLine(error)}\n`);
  }
}

/** Holds what two pages computed of a model against each other; gives the difference, if there is one. */
function same(model, ours, theirs) {
  const wrong = difference(ours.opened.outputs, theirs.opened.outputs, tolerance(model.name));
  if (wrong) problems.push(`${model.name}: ${ours.name} differs from ${theirs.name}: ${wrong}`);
  return wrong;
}

function about() {
  const version = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
  let commit = "";
  try {
    commit = execFileSync("git", ["-C", root, "rev-parse", "--short", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    // Sources without a history are measured as well.
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    inferry: `${version(asked.package)}${commit && ` (${commit})`}`,
    onnxruntimeWeb: version(asked.ort),
    node: process.version,
    machine: `${processor()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  };
}

/** Its name, and where the system tells which of those that clouds call by it, and whether browsers multiply its bytes exactly. */
function processor() {
  const name = cpus()[0]?.model.trim() ?? "unknown processor";
  let facts = "";
  try {
    facts = readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return name;
  }
  const fact = (key) => facts.match(new RegExp(`^${key}\\s*: (.*)$`, "m"))?.[1];
  if (!fact("cpu family")) return name;
  const vnni = / avx_vnni( |$)/.test(fact("flags") ?? "") ? "with" : "without";
  return `${name} (family ${fact("cpu family")}, model ${fact("model")}, ${vnni} AVX-VNNI)`;
}

function heading() {
  return `Measured ${found.date} on ${found.machine}: inferry ${found.inferry} and the CPU provider of onnxruntime-web ${found.onnxruntimeWeb} `
    + `(\`onnxruntime-web/wasm\`), in turns, in headless Chromium ${found.chromium}. Written by \`cargo xtask bench-web\`.`;
}

function notes() {
  return problems.length ? ["", "### Not measured, or different", "", ...problems.map((problem) => `- ${problem}`)] : [];
}
