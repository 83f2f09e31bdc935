// Runs a second with four under way, and what a second worker adds on a page that is not cross-origin isolated.

import { RECOGNISERS, DETECTORS, preferred } from "../models.mjs";
import { median, ratio, turns } from "../stats.mjs";
import { bar, plain, table } from "../table.mjs";

export const title = "Throughput";

const SIDES = ["isolated", "shared", "main", "proxy", "main2", "proxy2"];
const IN_FLIGHT = 4;

/** How long each side is measured in a round, in ms; a model whose runs are long takes as many as it needs. */
const ROUND = 1500;

/**
 * But no more runs than this in a round: after 100,000 runs with four under way, onnxruntime-web 1.30.0 on the main thread
 * rejects everything with "null function".
 */
const MOST = 8000;

const WINDOW = { many: IN_FLIGHT, ms: ROUND, most: MOST };

/** Two workers against one, and in how many rounds. */
const LEAST = 1.7;
const ROUNDS_OF_TWO = 5;

/** Models of different kinds: nothing to compute, a few ms, tens of ms, hundreds. */
const MODELS = ["silero_vad/silero_vad", "blazeface_back256/face_detection_back_256x256_barracuda"];

export async function measure(lab, { models, add, rounds, attempt, same }) {
  const chosen = [add, ...models.filter(({ name }) => MODELS.includes(name)), preferred(models, RECOGNISERS), preferred(models, DETECTORS)];
  const rates = [];
  for (const model of chosen.filter(Boolean)) {
    await attempt(model.name, async () => {
      const each = await inTurns(lab, lab.possible(SIDES), model, rounds, same);
      rates.push({ model: model.name, rates: Object.fromEntries(Object.entries(each).map(([name, all]) => [name, median(all)])) });
    });
  }
  const model = preferred(models, RECOGNISERS);
  let two;
  if (model) {
    await attempt(`${model.name}, one worker and two`, async () => {
      const each = await inTurns(lab, ["isolated1", "isolated2"], model, ROUNDS_OF_TWO);
      two = { model: model.name, one: median(each.isolated1), two: median(each.isolated2), ratio: ratio(each.isolated2, each.isolated1) };
    });
  }
  return { rates, two };
}

async function inTurns(lab, names, model, rounds, same) {
  return lab.with(names, model, async (pages) => {
    const theirs = pages.find(({ name }) => name === "main");
    for (const page of pages) {
      if (theirs) same(model, page, theirs);
      await page.call("inFlight", WINDOW);
    }
    const found = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const page of turns(pages, round)) found[page.name].push(await page.call("inFlight", WINDOW));
    }
    return found;
  });
}

export function report({ rates, two }) {
  const lines = [`Runs a second with ${IN_FLIGHT} requests under way; the right three columns on a cross-origin isolated page.`, ""];
  const head = ["model", "ours, isolated", "theirs, main", "theirs, proxy", "ours, shared", "theirs, main, 2 threads", "theirs, proxy, 2 threads"];
  const names = ["isolated", "main", "proxy", "shared", "main2", "proxy2"];
  const rows = rates.map(({ model, rates }) => [model, ...names.map((name) => plain(rates[name], 1))]);
  const last = two
    ? [`Two isolated workers against one on ${two.model}, the page not cross-origin isolated: ${plain(two.two, 1)} and ${plain(two.one, 1)} runs a second, median ratio of ${ROUNDS_OF_TWO} rounds ${plain(two.ratio)}.`, ""]
    : [];
  return [...lines, ...table(head, rows), ...last];
}

export function bars({ two }) {
  return two ? [bar(`two isolated workers against one on ${two.model}`, two.ratio, { least: LEAST })] : [];
}
