/**
 * Elements, made in one call. There is no framework here: a panel makes its elements once and changes them.
 */

type Child = Node | string | undefined;

/** What an element is given besides its children: attributes by their names, and listeners. */
export interface Given {
  readonly on?: Readonly<Record<string, (event: Event) => void>>;
  readonly [attribute: string]: string | number | boolean | undefined | Readonly<Record<string, (event: Event) => void>>;
}

/** An element. An attribute that is `true` is there without a value; one that is `false` or `undefined` is not there. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, given: Given = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  const { on = {}, ...attributes } = given;
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, String(value));
  }
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener);
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** A button that does something. */
export function button(label: string, kind: "primary" | "plain" | "danger", press: () => void): HTMLButtonElement {
  return el("button", { type: "button", class: kind, on: { click: press } }, label);
}

/** A button that opens the browser's choice of files. */
export function chooser(label: string, accept: string, chosen: (file: File) => void): HTMLElement {
  const input = el("input", { type: "file", accept, class: "out-of-sight", "aria-label": label });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file) chosen(file);
  });
  // A label is no button for the keyboard; the field itself is, and shows its focus on the label.
  return el("label", { class: "button plain" }, input, el("span", { "aria-hidden": "true" }, label));
}

/** Takes files that are dropped on an element. */
export function droppable(target: HTMLElement, dropped: (file: File) => void): void {
  const over = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    target.classList.add("dropping");
  };
  target.addEventListener("dragenter", over);
  target.addEventListener("dragover", over);
  target.addEventListener("dragleave", () => target.classList.remove("dropping"));
  target.addEventListener("drop", (event) => {
    target.classList.remove("dropping");
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    dropped(file);
  });
}

/** Changes the text of an element. The same text again would be laid out again. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Colours that were asked for since the appearance changed: to ask the style sheet makes the browser work out all styles that are due. */
const known = new Map<string, string>();
addEventListener("theme", () => known.clear());

/** Colours of the style sheet, by the names of their properties. */
export function colours<const Names extends readonly string[]>(...names: Names): { [index in keyof Names]: string } {
  const missing = names.filter((name) => !known.has(name));
  const style = missing.length > 0 ? getComputedStyle(document.documentElement) : undefined;
  for (const name of missing) known.set(name, style?.getPropertyValue(`--${name}`).trim() ?? "");
  return names.map((name) => known.get(name) ?? "") as { [index in keyof Names]: string };
}
