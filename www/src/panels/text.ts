/**
 * Read text: a detector finds lines, a classifier turns those that stand on their heads, a recogniser reads each.
 */

import { type Corners, type TextLine, textReader } from "../flows/index.js";
import { button, chooser, colours, droppable, el } from "../dom.js";
import { many, ms, percent } from "../numbers.js";
import { Opener, type Session } from "../session.js";
import { Frame, type Panel } from "./frame.js";
import { PictureView, bitmap, outline, pixels, sample } from "./picture.js";

const CODE = `const detector = await compile("det.onnx");
const reader = await compile("rec.onnx", { slots: 4 });

const { boxes } = await detector.run({ x: picture }, { signal });
const lines = await Promise.all(
  crops(boxes).map((crop) => reader.run({ x: crop }, { signal })),
);
// One signal stops all of it, in the middle of a kernel.`;

/** The panel. */
export default function textPanel(session: Session): Panel {
  const frame = new Frame(session, {
    id: "text",
    title: "Read text",
    lead: "Three models in a cascade. Boxes appear when lines are found, words as each line is read, several lines at a time.",
    ready: "3.7 MB of models are fetched at the first press, and kept.",
    models: ["PP-OCRv6 tiny, detector and recogniser (Apache-2.0), 3.1 MB", "PP-OCR direction classifier (Apache-2.0), 0.6 MB"],
    code: CODE,
  });
  const view = new PictureView("The sample: six lines of text, one of them upside down", 720, 480);
  const list = el("ol", { class: "lines", "aria-label": "Lines that were read" });
  const empty = el("p", { class: "empty" }, "The lines appear here.");
  frame.stage.append(view.element);
  frame.results.append(el("h3", {}, "Lines"), empty, list);
  const opener = new Opener(session, textReader);

  const read = (load: (signal: AbortSignal) => Promise<Blob>, what: string): Promise<void> => frame.run(async (signal) => {
    const picture = await bitmap(await load(signal));
    view.show(picture, what);
    list.replaceChildren();
    empty.hidden = false;
    const reader = await opener.get(signal, frame.opening());
    frame.progress(undefined);
    frame.say("Looking for lines …");
    const boxes: Corners[] = [];
    const lines: TextLine[] = [];
    // A place for each line, since they are read in any order.
    const places = new Map<Corners, HTMLElement>();
    let [next, written] = [0, 0];
    const draw = (): void => {
      // All boxes are found at once, and lines are read faster than frames are shown.
      next ||= requestAnimationFrame(() => {
        next = 0;
        if (signal.aborted) return;
        drawn(view, boxes, lines);
        empty.hidden = places.size > 0;
        if (list.childElementCount === 0) list.append(...places.values());
        for (const line of lines.slice(written)) places.get(line.corners)?.replaceChildren(...item(line).childNodes);
        written = lines.length;
      });
    };
    const began = performance.now();
    const found = await reader.read(await pixels(picture), {
      signal,
      priority: session.settings.priority,
      onbox: (corners) => {
        boxes.push(corners);
        places.set(corners, el("li", {}, el("span", { class: "text empty" }, "…"), el("span", { class: "facts" }, "reading")));
        draw();
        frame.say(`${many(boxes.length, "line")} found, reading …`);
      },
      online: (line) => {
        lines.push(line);
        draw();
      },
    }).finally(() => {
      // What was stopped is not being read any more.
      for (const place of places.values()) if (place.querySelector(".empty")) place.remove();
    });
    const took = performance.now() - began;
    list.replaceChildren(...found.map(item));
    empty.hidden = found.length > 0;
    view.label(`${what}. Read: ${found.map(({ text }) => text).join("; ")}`);
    return `${many(found.length, "line")} read in ${ms(took)}`;
  });

  const own = (file: File): void => void read(async () => file, file.name);
  frame.actions.append(
    button("Read the sample", "primary", () => void read((signal) => sample("text.png", signal), "The sample")),
    chooser("Choose a picture", "image/*", own),
    el("span", { class: "hint" }, "or drop one here"),
  );
  droppable(frame.element, own);
  void view.begin(sample("text.png").then(bitmap), "The sample: six lines of text, one of them upside down");
  return { element: frame.element };
}

function drawn(view: PictureView, boxes: readonly Corners[], lines: readonly TextLine[]): void {
  const [found, read] = colours("mark-wait", "mark");
  view.draw((context, unit) => {
    context.lineWidth = unit;
    context.lineJoin = "round";
    context.strokeStyle = found;
    for (const corners of boxes) outline(context, corners);
    context.strokeStyle = read;
    for (const { corners } of lines) {
      outline(context, corners);
      context.fillStyle = read;
      context.globalAlpha = 0.1;
      context.fill();
      context.globalAlpha = 1;
    }
  });
}

function item({ text, confidence, turned }: TextLine): HTMLLIElement {
  return el("li", {}, el("span", { class: "text" }, text),
    el("span", { class: "facts" }, percent(confidence), turned ? el("span", { class: "tag" }, "turned by 180°") : undefined));
}
