// The package as people get it: its tarball is installed and used by bundlers, pages and Node: `node run.mjs WORK TARBALL`.
//
// WORK holds a copy of this folder with the tools installed (`cargo xtask test` makes it), so that nothing that a bundler
// writes lands among the sources. Each folder with a `consumer.mjs` is a project; its tests build it, open what was built in
// Chromium, and wait for the word that the page's own code sends: whether a small model gave its recorded answer. Printed
// is what Rust's test harness prints.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync, existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { after, launch } from "../harness/chromium.mjs";
import { readNpz } from "../harness/npz.mjs";
import { CDN, ISOLATED, serve } from "../harness/server.mjs";

/** How long a test may take, bundling and the start of a browser included, in ms. */
const LIMIT = 120_000;

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const [work, tarball, filter = ""] = process.argv.slice(2).map((path, index) => (index < 2 ? resolve(path) : path));
const installed = join(work, "node_modules/inferry");
const fixture = join(work, "public/fixture");
await writeFixture();

let browser;
const outcomes = [];
for (const project of readdirSync(work).sort()) {
  const file = join(work, project, "consumer.mjs");
  if (project === "node_modules" || !existsSync(file)) continue;
  const { tests } = await import(pathToFileURL(file).href);
  for (const [test, run] of Object.entries(tests)) {
    const name = `${project}::${test}`;
    if (!name.includes(filter)) continue;
    const began = performance.now();
    const undo = [];
    const failure = await Promise.race([
      run(tools(join(work, project), undo)).then(() => undefined, (error) => error?.stack ?? String(error)),
      after(LIMIT, `hung: no end after ${LIMIT / 1000} s`),
    ]);
    for (const step of undo.reverse()) await Promise.race([Promise.resolve().then(step).catch(() => {}), after(10_000)]);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`test ${name} ... ${failure ? "FAILED" : "ok"} (${seconds} s)`);
    outcomes.push({ name, failure });
  }
}
await browser?.close();
const failed = outcomes.filter(({ failure }) => failure);
if (failed.length) console.log("\nfailures:\n");
for (const { name, failure } of failed) console.log(`---- ${name} stdout ----\n${failure}\n`);
console.log(`\ntest result: ${failed.length ? "FAILED" : "ok"}. ${outcomes.length - failed.length} passed; ${failed.length} failed; 0 ignored`);
process.exit(failed.length ? 1 : 0);

/** What a project's tests are handed; `undo` collects what must be taken down after the test. */
function tools(folder, undo) {
  return {
    folder,
    installed,
    tarball,
    /** Headers to serve with. */
    ISOLATED,
    CDN,
    /** Serves folders, see `harness/server.mjs`; the fixture is always there. Gives the server. */
    async serve(options) {
      const folders = { "/fixture/": fixture, "/common/": join(work, "common"), ...options.folders };
      const server = await serve({ ...options, folders });
      undo.push(server.close);
      return server;
    },
    /** Opens a page and waits for its word; fails unless it is good and the page had nothing to complain of. */
    async open(address) {
      browser ??= await launch();
      const page = await browser.context.newPage();
      undo.push(() => page.close());
      const complaints = [];
      page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(error.stack ?? String(error)));
      page.on("response", (response) => response.status() >= 400 && complaints.push(`${response.url()}: ${response.status()}`));
      page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
      let say;
      const said = new Promise((resolve) => (say = resolve));
      await page.exposeBinding("verdict", (_, word) => say(word));
      await page.goto(address, { waitUntil: "commit" });
      const word = await Promise.race([said, after(LIMIT / 2, { error: "the page never said how it went" })]);
      if (word.error || complaints.length) throw new Error([word.error, ...complaints].filter(Boolean).join("\n"));
      return word;
    },
    /** Runs a program of Node in the project's folder; gives what it printed. */
    async node(...args) {
      const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
      undo.push(() => child.exitCode ?? child.kill("SIGKILL"));
      const texts = [[], []];
      [child.stdout, child.stderr].forEach((stream, at) => stream.on("data", (text) => texts[at].push(text)));
      const code = await new Promise((resolve, reject) => child.on("close", resolve).on("error", reject));
      const [printed, complained] = texts.map((text) => Buffer.concat(text).toString());
      if (code !== 0) throw new Error(`node ${args.join(" ")} ended with ${code}:\n${printed}${complained}`);
      return { printed, complained };
    },
  };
}

/** A model, an input and its recorded answer, as plain files that any server serves. */
async function writeFixture() {
  mkdirSync(fixture, { recursive: true });
  const source = join(root, "tests/models/mtcnn_cascade");
  writeFileSync(join(fixture, "pnet.onnx"), readFileSync(join(source, "pnet.onnx")));
  const arrays = await readNpz(new Uint8Array(readFileSync(join(source, "pnet.npz"))));
  for (const [name, { data }] of Object.entries(arrays)) writeFileSync(join(fixture, `${name}.f32`), new Uint8Array(data.buffer));
  const dims = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, array.dims]));
  writeFileSync(join(fixture, "dims.json"), JSON.stringify(dims));
}
