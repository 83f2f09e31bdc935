/**
 * Name this file: what kind of file it is, by its first and last bytes and not by its name.
 */

import { type Guess, fileNamer } from "../flows/index.js";
import { button, chooser, droppable, el } from "../dom.js";
import { Pace } from "../flows/pace.js";
import { bytes, ms, percent } from "../numbers.js";
import { Opener, type Session } from "../session.js";
import { Frame, type Panel } from "./frame.js";
import { sample } from "./picture.js";

/** The samples, which have no endings that would tell. */
const SAMPLES = ["a_python", "b_rust", "c_json", "d_html", "e_sql", "f_dockerfile", "g_png", "h_wav", "i_onnx"];

/** So many guesses are shown. */
const SHOWN = 5;

const CODE = `const model = await compile("magika.onnx");
const head = new Uint8Array(await file.slice(0, 4096).arrayBuffer());
const { target_label } = await model.run({ bytes: window(head, tail) });`;

/** The panel. */
export default function filesPanel(session: Session): Panel {
  const frame = new Frame(session, {
    id: "files",
    title: "Name this file",
    lead: "Drop any file. A model looks at 2,048 of its bytes and knows 214 kinds. The file stays on this machine.",
    ready: "A model of 3.2 MB is fetched at the first press, and kept.",
    models: ["Magika standard v3.3 (Apache-2.0), 3.2 MB"],
    code: CODE,
  });
  frame.element.classList.add("wide-results");
  const drop = el("div", { class: "drop" }, el("p", {}, "Drop a file here"), el("p", { class: "hint" }, "of any kind and size"));
  const body = el("tbody");
  const table = el("table", { class: "guesses" },
    el("caption", {}, "What they are"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "File"), el("th", { scope: "col" }, "Kind"), el("th", { scope: "col", class: "number" }, "Score"))), body);
  const guesses = el("ol", { class: "bars", "aria-label": "The likeliest kinds of the last file" });
  frame.stage.append(drop, guesses);
  frame.results.append(el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Files and their kinds" }, table));
  const opener = new Opener(session, fileNamer);

  const name = (load: (signal: AbortSignal) => Promise<readonly (readonly [string, Blob])[]>): Promise<void> => frame.run(async (signal) => {
    const files = await load(signal);
    const namer = await opener.get(signal, frame.opening());
    frame.progress(undefined);
    frame.say("Looking …");
    const rows = files.map(([file, blob]) => row(file, blob, undefined));
    body.replaceChildren(...rows);
    const began = performance.now();
    // All at once: the queue of the model sees to it that they take their turns.
    const pace = new Pace();
    let turn = Promise.resolve();
    const all = await Promise.all(files.map(async ([file, blob], index) => {
      // To have a file read is a word with another process of the browser's: each in a turn of its own.
      const mine = turn;
      turn = mine.then(() => pace.give());
      await mine;
      const found = await namer.name(blob, { signal, priority: session.settings.priority });
      rows[index]?.replaceWith(row(file, blob, found[0]));
      return found;
    }));
    const took = performance.now() - began;
    guesses.replaceChildren(...(all.at(-1) ?? []).slice(0, SHOWN).map(bar));
    const first = all[0]?.[0];
    return files.length === 1 ? `${files[0]?.[0]}: ${first?.description ?? first?.label}, in ${ms(took)}` : `${files.length} files named in ${ms(took)}`;
  });

  const own = (file: File): void => void name(async () => [[file.name, file]]);
  const samples = async (signal: AbortSignal): Promise<(readonly [string, Blob])[]> => {
    // One after the other: to ask for nine at once takes the page longer than a frame.
    const all: (readonly [string, Blob])[] = [];
    for (const file of SAMPLES) all.push([`${file}.bin`, await sample(`files/${file}.bin`, signal)]);
    return all;
  };
  frame.actions.append(
    button("Name nine samples", "primary", () => void name(samples)),
    chooser("Choose a file", "", own),
  );
  droppable(frame.element, own);
  return { element: frame.element };
}

function row(file: string, blob: Blob, guess: Guess | undefined): HTMLTableRowElement {
  return el("tr", {},
    el("th", { scope: "row" }, file, el("span", { class: "facts" }, bytes(blob.size))),
    el("td", { "data-label": guess?.label ?? "" }, guess?.description ?? guess?.label ?? "–", el("span", { class: "facts" }, guess?.group ?? "")),
    el("td", { class: "number" }, guess ? percent(guess.score) : "–"));
}

function bar({ label, score }: Guess): HTMLLIElement {
  const share = el("span", { class: "bar", "aria-hidden": "true" });
  share.style.setProperty("--share", String(score));
  return el("li", {}, el("span", { class: "text" }, label), share, el("span", { class: "facts" }, percent(score)));
}
