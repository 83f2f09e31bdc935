/**
 * Bench: a model of one's own, timed here and with onnxruntime-web, in turns.
 *
 * In turns, because machines get warm and others want their cores, too: what disturbs one side disturbs the other. Both are
 * used as they come. Nothing of onnxruntime-web is fetched before the button is pressed.
 */

import type { PortInfo } from "inferry";

import { button, chooser, droppable, el } from "../dom.js";
import { heartbeat } from "../heartbeat.js";
import { bytes, ms, percentile } from "../numbers.js";
import { BASE, type Session } from "../session.js";
import { Frame, type Panel } from "./frame.js";
import { type Input, type Side, ours, theirs } from "./sides.js";

/** Each side has so many turns, of at least so many runs and so many milliseconds. */
const TURNS = 5;
const RUNS = 3;
const TURN = 300;

/** An extent that the model leaves open and nobody has filled in. */
const OPEN = 1;

const SAMPLE = "blazeface/back256.onnx";

const CODE = `const model = await compile(file);
const began = performance.now();
await model.run(inputs);
console.log(performance.now() - began);`;

/** What was measured of one side. Times in milliseconds. */
interface Measured {
  readonly name: string;
  open: number;
  readonly times: number[];
  /** The longest time in which the page did nothing else, opening and running. */
  gap: number;
}

/** The panel. */
export default function benchPanel(session: Session): Panel {
  const frame = new Frame(session, {
    id: "bench",
    title: "Bench",
    lead: "Your own ONNX file, timed in turns with onnxruntime-web. Both as they come; the file stays on this machine.",
    ready: "onnxruntime-web, about 14 MB, is fetched when you press Measure, and not before.",
    models: ["onnxruntime-web 1.30.0 (MIT), about 14 MB, is fetched when you press Measure"],
    code: CODE,
  });
  frame.element.classList.add("stacked");
  let model: { readonly name: string; readonly blob: Blob; readonly inputs: readonly PortInfo[] } | undefined;
  const ports = el("fieldset", { class: "ports" }, el("legend", {}, "Inputs"), el("p", { class: "empty" }, "Choose a model first."));
  const proxy = el("input", { type: "checkbox", id: "bench-proxy" });
  const measure = button("Measure", "primary", () => void compare());
  measure.disabled = true;
  const body = el("tbody");
  const agree = el("p", { class: "empty" }, "The figures appear here.");
  const heads = ["", "open", "first run", "p50", "p90", "runs a second", "longest gap"];
  frame.stage.append(el("div", { class: "block" }, ports,
    el("div", { class: "field check" }, proxy, el("label", { for: "bench-proxy" }, "onnxruntime-web in its proxy worker instead of the page's thread"))));
  frame.results.append(
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Measured" },
      el("table", { class: "measured" }, el("caption", {}, "Measured"),
        el("thead", {}, el("tr", {}, ...heads.map((head, index) => el("th", { scope: "col", class: index > 0 ? "number" : undefined }, head || el("span", { class: "out-of-sight" }, "Side"))))), body)),
    agree);

  const load = (name: string, fetched: (signal: AbortSignal) => Promise<Blob>): Promise<void> => frame.run(async (signal) => {
    measure.disabled = true;
    model = undefined;
    body.replaceChildren();
    frame.say(`Opening ${name} …`);
    const blob = await fetched(signal);
    const opened = await ours(blob, await session.runtime(), signal);
    opened.close();
    model = { name, blob, inputs: opened.inputs };
    ports.replaceChildren(el("legend", {}, `Inputs of ${name}`), ...opened.inputs.map(port));
    measure.disabled = false;
    return `${name}, ${bytes(blob.size)}, can be opened. Fill in what is open, then measure.`;
  });

  const compare = (): Promise<void> => frame.run(async (signal) => {
    if (!model) return "";
    const { blob, inputs } = model;
    const feeds = inputs.map((input) => filled(input, ports));
    const mine: Measured = { name: "Inferry", open: NaN, times: [], gap: 0 };
    const other: Measured = { name: proxy.checked ? "onnxruntime-web, proxy" : "onnxruntime-web", open: NaN, times: [], gap: 0 };
    // The page has to be warm for both.
    frame.say("Opening with Inferry …");
    const a = await opened(mine, async () => ours(blob, await session.runtime(), signal));
    let b: Side | undefined;
    try {
      frame.say("Fetching and opening with onnxruntime-web …");
      b = await opened(other, () => theirs(blob, proxy.checked));
      let results: readonly (readonly ArrayLike<number | bigint>[])[] = [];
      for (let turn = 0; turn < TURNS; turn++) {
        frame.progress(turn / TURNS);
        frame.say(`Turn ${turn + 1} of ${TURNS} …`);
        results = [await turns(mine, a, feeds, signal), await turns(other, b, feeds, signal)];
        body.replaceChildren(row(mine), row(other));
      }
      agree.replaceChildren("Largest difference between the two results: ",
        el("span", { class: "number" }, difference(results[0] ?? [], results[1] ?? []).toExponential(1)));
    } finally {
      a.close();
      await b?.close();
    }
    return `p50 ${ms(usual(mine))} with Inferry, ${ms(usual(other))} with onnxruntime-web`;
  });

  frame.actions.append(
    chooser("Choose an ONNX file", ".onnx", (file) => void load(file.name, async () => file)),
    button("Use a sample: BlazeFace", "plain", () => void load("BlazeFace", async (signal) => {
      const answer = await fetch(new URL(SAMPLE, BASE), { signal });
      if (!answer.ok) throw new Error(`${SAMPLE} could not be fetched (${answer.status})`);
      return answer.blob();
    })),
    measure,
  );
  droppable(frame.element, (file) => void load(file.name, async () => file));
  return { element: frame.element };
}

/** An input with fields for the extents that are open. */
function port({ name, type, dims }: PortInfo): HTMLElement {
  const fields = (dims ?? []).map((extent, index) => {
    if (extent !== null) return el("span", { class: "extent" }, String(extent));
    return el("input", { type: "number", min: 1, value: OPEN, "data-port": name, "data-index": index, "aria-label": `Extent ${index + 1} of ${name}` });
  });
  const parts = fields.flatMap((field, index) => (index > 0 ? [el("span", { class: "times", "aria-hidden": "true" }, "×"), field] : [field]));
  return el("div", { class: "port" }, el("code", {}, name), el("span", { class: "facts" }, type), el("span", { class: "extents" }, ...parts));
}

/** Values for an input: a wave for floats, nought for whole numbers, which may be indices. */
function filled({ name, type, dims }: PortInfo, ports: HTMLElement): Input {
  const fields = [...ports.querySelectorAll<HTMLInputElement>("input[data-port]")].filter((field) => field.dataset["port"] === name);
  const extents = (dims ?? []).map((extent, index) => extent ?? Number(fields.find((field) => field.dataset["index"] === String(index))?.value ?? OPEN));
  const size = extents.reduce((product, extent) => product * extent, 1);
  const make = { float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array, int8: Int8Array }[type as string];
  if (!make) throw new Error(`the bench makes no values of type ${type} for ${name}`);
  const data = new make(size);
  if (data instanceof Float32Array || data instanceof Float64Array) for (let at = 0; at < size; at++) data[at] = Math.sin(at * 0.37);
  return { name, type, dims: extents, data };
}

async function opened<S extends Side>(side: Measured, open: () => Promise<S>): Promise<S> {
  const began = performance.now();
  const made = await open();
  side.open = performance.now() - began;
  await gaps(side, began);
  return made;
}

/** One turn: some runs, each timed. */
async function turns(side: Measured, model: Side, inputs: readonly Input[], signal: AbortSignal): Promise<readonly ArrayLike<number | bigint>[]> {
  const began = performance.now();
  let result: readonly ArrayLike<number | bigint>[] = [];
  for (let run = 0; run < RUNS || performance.now() - began < TURN; run++) {
    const start = performance.now();
    result = await model.run(inputs, signal);
    side.times.push(performance.now() - start);
    signal.throwIfAborted();
  }
  await gaps(side, began);
  return result;
}

/** Looks up how long the page stood still; the timer that measures it must have had its turn. */
async function gaps(side: Measured, began: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10));
  for (const { gap } of heartbeat.since(began)) side.gap = Math.max(side.gap, gap);
}

/** The times of those runs that come after the first ones. */
function steady({ times }: Measured): readonly number[] {
  return times.length > RUNS ? times.slice(RUNS) : times;
}

function usual(side: Measured): number {
  return percentile(steady(side), 0.5);
}

function row(side: Measured): HTMLTableRowElement {
  const { name, open, times, gap } = side;
  const p50 = usual(side);
  const cells = [ms(open), ms(times[0] ?? NaN), ms(p50), ms(percentile(steady(side), 0.9)), (1000 / p50).toFixed(1), ms(gap)];
  return el("tr", {}, el("th", { scope: "row" }, name), ...cells.map((cell) => el("td", { class: "number" }, cell)));
}

/** The largest difference between two results. */
function difference(a: readonly ArrayLike<number | bigint>[], b: readonly ArrayLike<number | bigint>[]): number {
  let most = 0;
  a.forEach((values, output) => {
    const others = b[output];
    for (let at = 0; at < values.length; at++) most = Math.max(most, Math.abs(Number(values[at]) - Number(others?.[at] ?? NaN)));
  });
  return most;
}
