// Whether others use the machine: what a test may say of time depends on it.

import { cpus } from "node:os";

/** How long it is looked at, in milliseconds, and how many processors others may use on a quiet machine. */
const LOOK = 1000;
const FEW = 0.5;

/** How many processors are used at this moment. Nothing of ours is to run meanwhile. */
export async function used() {
  const before = times();
  await new Promise((resolve) => setTimeout(resolve, LOOK));
  const after = times();
  return (cpus().length * (after.busy - before.busy)) / Math.max(1, after.all - before.all);
}

/** Whether so many used processors are as good as none. */
export const isQuiet = (used) => used < FEW;

function times() {
  let [busy, all] = [0, 0];
  for (const { times } of cpus()) {
    const sum = Object.values(times).reduce((sum, time) => sum + time, 0);
    all += sum;
    busy += sum - times.idle;
  }
  return { busy, all };
}
