/**
 * "Make it hard": 200 requests, a third of them cancelled, a tenth broken, and the books of what became of each.
 *
 * Every request has an answer that is known beforehand: the model multiplies by one five hundred times and gives the greatest
 * number, which is the request's own. So a result that belongs to somebody else would show.
 *
 * - *kept*: must end as done, with its own number.
 * - *cancelled in the queue*: aborted at once. *Cancelled while running*: aborted when a worker has it; given so much to do that
 *   it cannot end before.
 * - *broken before*: its tensor has the wrong extents. *Broken inside*: an index beyond its table, which a kernel finds out.
 *
 * When the chosen policy refuses or displaces requests, that is right for any of them, and is counted by itself.
 */

import { InferError, type Model, Tensor, compile } from "inferry";

import { BASE, type Session } from "./session.js";

/** So many requests, and how many of them are what. */
const REQUESTS = 200;
export const KINDS = {
  kept: { many: 113, name: "kept", right: "done" },
  queued: { many: 34, name: "cancelled in the queue", right: "cancelled" },
  running: { many: 33, name: "cancelled while running", right: "cancelled" },
  malformed: { many: 10, name: "broken: wrong extents", right: "invalid-input" },
  failing: { many: 10, name: "broken: fails in a kernel", right: "operator" },
} as const;
export type Kind = keyof typeof KINDS;

/** The rows of a request decide how long it computes: some milliseconds, and half a second. */
const ROWS = 4;
const LONG = 96;
const WIDTH = 256;

/** Requests are asked for in pieces of so many milliseconds. */
const PATIENCE = 2;

/** So many milliseconds lie between two looks at which requests a worker has: those that are to be aborted then compute for much longer. */
const LOOK = 15;

/** Places in the queue for a policy that refuses, so that it has something to refuse. */
const ROOM = 48;

/** What became of one request: its code, `done`, or `wrong` when the number was not its own. */
export interface Ended {
  readonly kind: Kind;
  readonly outcome: string;
}

/** The books. */
export interface Report {
  readonly ended: readonly Ended[];
  /** So many failed, as they should have. */
  readonly failed: number;
  /** Those with which something else happened than what should have, a line each. */
  readonly mistakes: readonly string[];
  /** Refused or displaced by the policy. */
  readonly refused: number;
  /** Milliseconds from the first request to the last end. */
  readonly took: number;
}

/** Does it. `progress` is told how many have ended. */
export async function hard(session: Session, signal: AbortSignal, progress: (ended: readonly Ended[]) => void): Promise<Report> {
  const runtime = await session.runtime();
  const { slots, overflow = "block", priority } = session.settings;
  const queue = { overflow, ...(slots !== undefined && { slots }), ...(overflow !== "block" && { queue: ROOM }) };
  const open = (name: string): Promise<Model> => compile(new URL(`small/${name}.onnx`, BASE), { runtime, signal, ...queue });
  const opened = await Promise.allSettled([open("slow"), open("indexed")]);
  try {
    const [slow, indexed] = opened.map((one) => {
      if (one.status === "rejected") throw one.reason;
      return one.value;
    }) as [Model, Model];
    const ended: Ended[] = [];
    const began = performance.now();
    const running = new Map<number, AbortController>();
    const one = async (kind: Kind, index: number): Promise<void> => {
      const stop = new AbortController();
      const options = { signal: AbortSignal.any([signal, stop.signal]), priority };
      const run = request(kind, index, { slow, indexed }, options);
      if (kind === "queued") stop.abort("it is not wanted any more");
      // The newest of the runs that are under way is the one that has just been asked for, unless that was refused.
      const newest = kind === "running" ? (runtime.trace.runs(0).at(-1)?.run ?? -1) : -1;
      if (kind === "running" && !running.has(newest)) running.set(newest, stop);
      const outcome = await run;
      ended.push({ kind, outcome });
      progress(ended);
    };
    const done = started(one);
    await watched(() => runtime.trace.runs(0), running, done);
    await done;
    signal.throwIfAborted();
    return report(ended, overflow, performance.now() - began);
  } finally {
    for (const one of opened) if (one.status === "fulfilled") one.value.dispose();
  }
}

/** Asks for all, with a pause whenever the page has waited long enough for its turn; resolves when all have ended. */
async function started(one: (kind: Kind, index: number) => Promise<void>): Promise<void> {
  const all: Promise<void>[] = [];
  let began = performance.now();
  for (const [index, kind] of dealt().entries()) {
    all.push(one(kind, index));
    if (performance.now() - began < PATIENCE) continue;
    await new Promise((resolve) => setTimeout(resolve, 0));
    began = performance.now();
  }
  await Promise.all(all);
}

/** The kinds in an order that looks like chance and is always the same. */
function dealt(): Kind[] {
  const kinds = (Object.keys(KINDS) as Kind[]).flatMap((kind) => new Array<Kind>(KINDS[kind].many).fill(kind));
  let seed = 7;
  for (let left = kinds.length - 1; left > 0; left--) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const other = seed % (left + 1);
    [kinds[left], kinds[other]] = [kinds[other] as Kind, kinds[left] as Kind];
  }
  if (kinds.length !== REQUESTS) throw new Error(`there are ${kinds.length} requests, not ${REQUESTS}`);
  return kinds;
}

interface Models {
  readonly slow: Model;
  readonly indexed: Model;
}

/** Starts one request; gives what became of it, and never fails. */
async function request(kind: Kind, index: number, { slow, indexed }: Models, options: { signal: AbortSignal; priority: "low" | "normal" | "high" }): Promise<string> {
  try {
    if (kind === "failing") {
      const [read, write] = [new BigInt64Array([60n]), new BigInt64Array([1n])];
      await indexed.run({ read: new Tensor("int64", read, [1]), write: new Tensor("int64", write, [1]) }, options);
      return "done";
    }
    const own = index + 1;
    const rows = kind === "running" ? LONG : ROWS;
    const width = kind === "malformed" ? WIDTH - 1 : WIDTH;
    const x = new Tensor("float32", new Float32Array(rows * width).fill(own), [rows, width]);
    const { most } = await slow.run({ x }, { ...options, transfer: kind === "running" });
    return most?.data[0] === own ? "done" : "wrong";
  } catch (error) {
    return error instanceof InferError ? error.code : `${error}`;
  }
}

/** Aborts each of these runs once a worker has it, until all is over. */
async function watched(runs: () => readonly { run: number; posted: number | undefined; answered: number | undefined }[], waiting: Map<number, AbortController>, done: Promise<unknown>): Promise<void> {
  let over = false;
  void done.finally(() => (over = true));
  while (!over) {
    for (const { run, posted, answered } of runs()) {
      if (posted === undefined || answered !== undefined) continue;
      waiting.get(run)?.abort("it is not wanted any more");
      waiting.delete(run);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}

function report(ended: readonly Ended[], overflow: string, took: number): Report {
  const refusals = { block: [], reject: ["busy"], "drop-oldest": ["displaced"], latest: ["displaced"] }[overflow] ?? [];
  const isRefused = ({ outcome }: Ended): boolean => refusals.includes(outcome);
  const mistakes = ended.filter((one) => one.outcome !== KINDS[one.kind].right && !isRefused(one)).map(({ kind, outcome }) => `${KINDS[kind].name}: ${outcome}`);
  if (ended.length !== REQUESTS) mistakes.push(`${ended.length} of ${REQUESTS} ended`);
  return { ended, mistakes, took, refused: ended.filter(isRefused).length, failed: ended.filter(({ outcome }) => outcome !== "done").length };
}
