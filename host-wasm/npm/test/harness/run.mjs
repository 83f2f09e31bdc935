// Runs the files of `test/cases` in real browsers and in Node: `node run.mjs [--package FOLDER] [--mode MODES] [FILTER]`.
// `--cases FOLDER` is another folder below `test`.
//
// Each file gets a page, or a process of Node, of its own; what happens there comes here as events, and is printed as Rust's
// test harness prints, which `cargo xtask` can count. A test that is silent past its limit has hung: its page cannot be
// trusted to say so, so the limit is kept here, and the browser is replaced. Nothing here knows what the tests are about.

import { fork } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { after, launch } from "./chromium.mjs";
import { ISOLATED, serve } from "./server.mjs";

const MODES = ["isolated", "shared", "inline", "node"];

/** How long a file may take to load, and a process of Node to end when its tests are over, in ms. */
const LOADING = 60_000;
const ENDING = 10_000;

const here = fileURLToPath(new URL(".", import.meta.url));
const tests = resolve(here, "..");
const root = resolve(tests, "../../..");
const models = [join(root, "tests/models"), join(root, ".models")];

const { values, positionals } = parseArgs({
  options: { package: { type: "string" }, mode: { type: "string" }, cases: { type: "string" } },
  allowPositionals: true,
});
const packed = resolve(values.package ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "npm/package"));
const cases = resolve(values.cases ?? join(tests, "cases"));
const modes = values.mode?.split(",") ?? MODES;
const filter = positionals[0] ?? "";

const unknown = modes.find((mode) => !MODES.includes(mode));
if (unknown) fail(`no such mode: ${unknown} (there are ${MODES.join(", ")})`);

const list = JSON.stringify(recorded());
const pages = { "/models.json": list };
const folders = { "/test/": tests, "/package/": packed, "/models/": models };
const servers = { plain: await serve({ folders, pages }), isolated: await serve({ folders, pages, headers: ISOLATED }) };
let browser;
let failed = 0;
try {
  for (const mode of modes) {
    for (const file of readdirSync(cases).filter((name) => name.endsWith(".mjs")).sort()) {
      const run = mode === "node" ? inNode(file) : await inPage(file, mode);
      failed += print(await follow(run), file, mode);
    }
  }
} finally {
  await browser?.close();
  await Promise.all(Object.values(servers).map((server) => server.close()));
}
// What a page or process has left behind must not keep us.
process.exit(failed ? 1 : 0);

/**
 * A file of tests that runs somewhere: `events` is fed to whoever sets `onevent`; `stop` ends it, `hung` whether it had to
 * be; `said` is what it wrote meanwhile.
 */
async function inPage(file, mode) {
  browser ??= await launch();
  const page = await browser.context.newPage();
  const run = { said: [], onevent: undefined };
  page.on("console", (message) => run.said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => run.onevent?.({ kind: "stray", message: error.stack ?? String(error) }));
  page.on("crash", () => run.onevent?.({ kind: "broken", message: "the page crashed" }));
  await page.exposeBinding("__report", (_, event) => run.onevent?.(event));
  const { origin } = mode === "shared" ? servers.isolated : servers.plain;
  const asked = new URLSearchParams({ package: "/package/dist/index.js", file: `/test/${relative(tests, cases)}/${file}`, mode, filter });
  run.start = () => page.goto(`${origin}/test/harness/page.html?${asked}`, { waitUntil: "commit" });
  run.stop = async (hung) => {
    const closed = !hung && (await Promise.race([page.close().then(() => true), after(5_000, false)]));
    // A page whose thread is blocked does not close; its browser does.
    if (!closed) await browser.close().then(() => (browser = undefined));
  };
  return run;
}

function inNode(file) {
  const run = { said: [], onevent: undefined };
  let child;
  let over;
  run.start = async () => {
    const entry = join(packed, "dist/node.js");
    const options = { stdio: ["ignore", "pipe", "pipe", "ipc"] };
    child = fork(join(here, "node.mjs"), [entry, join(cases, file), filter, list, ...models], options);
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => run.said.push(String(text).trimEnd()));
    child.on("message", (event) => run.onevent?.(event));
    over = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
    over.then((code) => code !== 0 && run.onevent?.({ kind: "broken", message: `node ended with ${code}` }));
  };
  run.stop = async (hung) => {
    if (!hung && (await Promise.race([over, after(ENDING, "late")])) !== "late") return undefined;
    child.kill("SIGKILL");
    return "node did not end by itself after the tests: something was left that keeps it alive";
  };
  return run;
}

/** Follows a run to its end, however it ends: gives the outcomes in order. */
async function follow(run) {
  const outcomes = [];
  let count = 0;
  let running;
  let strays = [];
  const finish = (kind, name, message) => {
    const notes = strays.concat(kind === "failed" ? run.said : []);
    const failure = strays.length ? "failed" : kind;
    outcomes.push({ kind: failure, name, message: [message, ...notes].filter(Boolean).join("\n") });
    [running, strays] = [undefined, []];
    run.said.length = 0;
  };
  const hung = await new Promise((resolve) => {
    let timer;
    const expect = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        finish("failed", running ?? "loading the file", `hung: no word for ${ms / 1000} s`);
        resolve(true);
      }, ms);
    };
    const close = (value) => (clearTimeout(timer), resolve(value));
    run.onevent = (event) => {
      if (event.kind === "file") count = event.count;
      else if (event.kind === "stray") return void strays.push(`an error that nobody caught: ${event.message}`);
      else if (event.kind === "begin") running = event.name;
      else if (event.kind === "broken") return finish("failed", running ?? "loading the file", event.message), close(true);
      else if (event.kind === "end") return close(false);
      else finish(event.kind, event.name, event.message);
      expect(event.limit ?? LOADING);
    };
    expect(LOADING);
    run.start().catch((error) => run.onevent({ kind: "broken", message: String(error) }));
  });
  run.onevent = undefined;
  const left = await run.stop(hung);
  if (left && !hung) outcomes.push({ kind: "failed", name: "ends", message: left });
  const silent = count - outcomes.filter(({ name }) => name !== "loading the file" && name !== "ends").length;
  if (silent > 0) outcomes.push({ kind: "failed", name: "the rest", message: `${silent} of ${count} did not run` });
  return outcomes;
}

/** Prints as Rust's test harness does with `--show-output`; gives how many failed. */
function print(outcomes, file, mode) {
  if (outcomes.length === 0 && filter) return 0;
  const of = (kind) => outcomes.filter((outcome) => outcome.kind === kind);
  const name = (outcome) => `${mode}::${basename(file, ".mjs")}::${outcome.name}`;
  const [passed, bad, skipped] = [of("passed"), of("failed"), of("skipped")];
  const lines = [`     Running cases/${file} (${mode})`, "", `running ${outcomes.length} tests`];
  for (const outcome of outcomes) lines.push(`test ${name(outcome)} ... ${outcome.kind === "failed" ? "FAILED" : "ok"}`);
  lines.push("", "successes:", "");
  for (const outcome of skipped) lines.push(`---- ${name(outcome)} stdout ----`, `skipped: ${outcome.message}`, "");
  if (bad.length) lines.push("failures:", "");
  for (const outcome of bad) lines.push(`---- ${name(outcome)} stdout ----`, outcome.message, "");
  const counts = `${passed.length + skipped.length} passed; ${bad.length} failed; 0 ignored; 0 measured; 0 filtered out`;
  lines.push(`test result: ${bad.length ? "FAILED" : "ok"}. ${counts}`, "");
  console.log(lines.join("\n"));
  return bad.length;
}

/** The models that have recorded outputs, whether they are here, and how far from those they may be. */
function recorded() {
  const [carried] = models;
  const tolerances = JSON.parse(readFileSync(join(carried, "tolerances.json"), "utf8"));
  const cases = readdirSync(carried, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = cases.flatMap(({ name }) => {
    const fixtures = readdirSync(join(carried, name)).filter((file) => file.endsWith(".npz"));
    return fixtures.map((file) => `${name}/${file.replace(".npz", ".onnx")}`);
  });
  return names.sort().map((name) => ({
    name,
    here: models.some((folder) => existsSync(join(folder, name))),
    tolerance: { ...tolerances.default, ...tolerances[name] },
  }));
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
