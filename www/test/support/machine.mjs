// Whether others use the machine: what a test may say of time depends on it.

import { readFileSync, readdirSync } from "node:fs";
import { cpus } from "node:os";

/** How many processors others may use on a quiet machine. */
const FEW = 0.3;

/** What systems count in, where they have `/proc`: a hundredth of a second. */
const TICK = 10;

/** Does something. Gives what it gives, and how many processors others used meanwhile: all that was used without us and our children. */
export async function watched(doing) {
  const before = now();
  const result = await doing();
  const after = now();
  return { result, others: Math.max(0, after.busy - before.busy - (after.own - before.own)) / (after.at - before.at) };
}

/** Whether so many used processors are as good as none. */
export const isQuiet = (used) => used < FEW;

/** Milliseconds of all processors in which they were busy, and those that were ours, as far as the system tells. */
function now() {
  let busy = 0;
  for (const { times } of cpus()) busy += times.user + times.nice + times.sys + times.irq;
  return { at: performance.now(), busy, own: ours() };
}

function ours() {
  const parents = new Map();
  const used = new Map();
  let names = [];
  try {
    names = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    // Not everywhere is there such a folder: then everything was others.
  }
  for (const name of names) {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
      parents.set(Number(name), Number(fields[1]));
      used.set(Number(name), TICK * (Number(fields[11]) + Number(fields[12])));
    } catch {
      // It has ended meanwhile.
    }
  }
  const isOurs = (id) => id === process.pid || (parents.has(id) && parents.get(id) > 0 && isOurs(parents.get(id)));
  return [...used].reduce((sum, [id, time]) => (isOurs(id) ? sum + time : sum), 0);
}
