/**
 * Find lines: one model, one run, straight lines drawn over the picture.
 */

import { type Segment2, lineFinder } from "../flows/index.js";
import { button, chooser, colours, droppable, el } from "../dom.js";
import { many, ms } from "../numbers.js";
import { Opener, type Session } from "../session.js";
import { Frame, type Panel } from "./frame.js";
import { PictureView, bitmap, pixels, sample } from "./picture.js";

const CODE = `const model = await compile("mlsd.onnx", {
  images: { input: { resize: "stretch", layout: "NHWC" } },
});
const { offsets, scores } = await model.run({ input: bitmap });`;

/** The panel. */
export default function linesPanel(session: Session): Panel {
  const frame = new Frame(session, {
    id: "lines",
    title: "Find lines",
    lead: "A line detector for buildings and rooms. The slider hides what the model is not sure of, without another run.",
    ready: "A model of 2.5 MB is fetched at the first press, and kept.",
    models: ["M-LSD tiny (Apache-2.0), 2.5 MB"],
    code: CODE,
  });
  const view = new PictureView("The sample: a drawing of a house", 512, 512);
  frame.stage.append(view.element);
  let found: readonly Segment2[] = [];
  const output = el("output", { for: "line-score" }, "0.30");
  const count = el("p", { class: "figure" }, "–");
  const slider = el("input", { type: "range", id: "line-score", min: 0.2, max: 0.95, step: 0.05, value: 0.3 });
  const draw = (): void => {
    const least = Number(slider.value);
    const shown = found.filter(({ score }) => score >= least);
    output.textContent = least.toFixed(2);
    if (found.length > 0) count.textContent = `${shown.length} of ${found.length}`;
    const [mark] = colours("mark-strong");
    view.draw((context, unit) => {
      context.lineWidth = unit * 1.4;
      context.lineCap = "round";
      context.strokeStyle = mark;
      for (const { a, b, score } of shown) {
        context.globalAlpha = 0.35 + 0.65 * score;
        context.beginPath();
        context.moveTo(a.x, a.y);
        context.lineTo(b.x, b.y);
        context.stroke();
      }
      context.globalAlpha = 1;
    });
  };
  slider.addEventListener("input", draw);
  frame.results.append(el("h3", {}, "Lines shown"), count,
    el("div", { class: "field" }, el("label", { for: "line-score" }, "Least score"), slider, output));
  const opener = new Opener(session, lineFinder);

  const find = (load: (signal: AbortSignal) => Promise<Blob>, what: string): Promise<void> => frame.run(async (signal) => {
    const picture = await bitmap(await load(signal));
    found = [];
    view.show(picture, what);
    const finder = await opener.get(signal, frame.opening());
    frame.progress(undefined);
    frame.say("Looking for lines …");
    // As pixels it gives the same numbers in every browser.
    const sent = await pixels(picture);
    const began = performance.now();
    found = await finder.find(sent, { signal, priority: session.settings.priority });
    const took = performance.now() - began;
    draw();
    view.label(`${what}, with ${many(found.length, "line")} drawn over it`);
    return `${many(found.length, "line")} found in ${ms(took)}`;
  });

  const own = (file: File): void => void find(async () => file, file.name);
  frame.actions.append(
    button("Find lines in the sample", "primary", () => void find((signal) => sample("house.png", signal), "The sample")),
    chooser("Choose a picture", "image/*", own),
    el("span", { class: "hint" }, "or drop one here"),
  );
  droppable(frame.element, own);
  void view.begin(sample("house.png").then(bitmap), "The sample: a drawing of a house");
  return { element: frame.element };
}
