// Where the gaps of the page's thread come from: `node test/gaps.mjs [--took] [--plain]`.
//
// Does all that `smoothness.mjs` does under the browser's own trace, and prints the longest tasks of the page's thread:
// how long the thread computed, how long it took with what else the machine had to do, what was done inside, and which
// functions were on the stack. Ordered by the first, which is the same on a busy machine; by the second with `--took`.

import { everything, open } from "./support/page.mjs";
import { traced } from "./support/tasks.mjs";

const LISTED = 20;
/** What is worth saying, in microseconds. */
const LEAST = 800;

const byTime = process.argv.includes("--took");
const { page, context, close } = await open({ plain: process.argv.includes("--plain") });
const { events, main, own, tasks } = await traced(page, context, () => everything(page), ["disabled-by-default-v8.cpu_profiler"]);
await close();
const cost = ({ dur, tdur = 0 }) => (byTime ? dur : tdur);
tasks.sort((a, b) => cost(b) - cost(a));
const samples = stacks();
const ms = (micro) => (micro / 1000).toFixed(1);

console.log(`${tasks.length} tasks: computed, took (milliseconds), inside, functions`);
for (const task of tasks.slice(0, LISTED)) {
  const within = ({ ts, dur = 0 }) => ts >= task.ts && ts + dur <= task.ts + task.dur;
  const inside = own.filter((one) => one !== task && !/RunTask|v8.callFunction|FunctionCall/.test(one.name) && within(one) && cost(one) > LEAST);
  inside.sort((a, b) => cost(b) - cost(a));
  const times = new Map();
  for (const { at, took, name } of samples) if (within({ ts: at })) times.set(name, (times.get(name) ?? 0) + took);
  const functions = [...times].filter(([, took]) => took > LEAST).sort((a, b) => b[1] - a[1]).slice(0, 6);
  console.log(`${ms(task.tdur ?? 0).padStart(6)} ${ms(task.dur).padStart(6)}  ${inside.slice(0, 5).map((one) => `${one.name} ${ms(cost(one))}`).join(", ")}`);
  console.log(`${" ".repeat(15)}${functions.map(([name, took]) => `${name} ${ms(took)}`).join(", ")}`);
}
const over = (limit, of) => tasks.filter((task) => of(task) > limit * 1000).length;
console.log(`took more than 8 ms: ${over(8, ({ dur }) => dur)}, 16 ms: ${over(16, ({ dur }) => dur)}, 25 ms: ${over(25, ({ dur }) => dur)}; computed more than 8 ms: ${over(8, ({ tdur }) => tdur)}`);

/** What was on the stack of the page's thread: its own functions below the browser's, a line for each sample. */
function stacks() {
  const nodes = new Map();
  const found = [];
  const starts = events.filter(({ name, pid, tid }) => name === "Profile" && pid === main.pid && tid === main.tid);
  for (const { id, args } of starts) {
    let at = args.data.startTime;
    const chunks = events.filter((event) => event.name === "ProfileChunk" && event.pid === main.pid && event.id === id).sort((a, b) => a.ts - b.ts);
    for (const { args } of chunks) {
      const { cpuProfile = {}, timeDeltas = [] } = args.data;
      for (const { id, parent, callFrame } of cpuProfile.nodes ?? []) nodes.set(id, { parent, callFrame });
      (cpuProfile.samples ?? []).forEach((node, index) => {
        at += timeDeltas[index];
        const name = described(nodes, node);
        if (name !== "(idle)" && name !== "(program)") found.push({ at, took: timeDeltas[index], name });
      });
    }
  }
  return found;
}

function described(nodes, node) {
  const names = [];
  for (let at = nodes.get(node); at && names.length < 3; at = nodes.get(at.parent)) {
    const { functionName, url, lineNumber, columnNumber } = at.callFrame;
    if (functionName === "(root)") break;
    names.push(`${functionName || "?"}${url ? `@${url.split("/").at(-1).replace(/-[\w-]{8}\.js$/, "")}:${columnNumber ?? lineNumber}` : ""}`);
  }
  return names.join(" < ");
}
