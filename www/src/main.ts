/**
 * The page: the list of panels, the panel that is shown, the cockpit beside it.
 *
 * A panel's code is fetched when it is first shown, its models when it is first used.
 */

import "./style.css";

import { Address } from "./address.js";
import { cockpit } from "./cockpit/cockpit.js";
import { el } from "./dom.js";
import { Pace } from "./flows/pace.js";
import { modeText } from "./mode.js";
import { keepForOffline } from "./offline.js";
import type { Panel } from "./panels/frame.js";
import { Session } from "./session.js";
import { themeButton } from "./theme.js";

type Loader = () => Promise<{ readonly default: (session: Session) => Panel }>;

/** The panels in their order: the part of the address, the name in the list, the code. */
const PANELS: readonly (readonly [string, string, Loader])[] = [
  ["text", "Read text", () => import("./panels/text.js")],
  ["faces", "Find faces", () => import("./panels/faces.js")],
  ["speech", "Hear speech", () => import("./panels/speech.js")],
  ["lines", "Find lines", () => import("./panels/lines.js")],
  ["files", "Name this file", () => import("./panels/files.js")],
  ["bench", "Bench", () => import("./panels/bench.js")],
];

const session = new Session();
const stage = document.querySelector("#stage") as HTMLElement;
const links = PANELS.map(([id, name]) => el("a", { href: `#${id}` }, name));
const shown = new Map<string, Promise<Panel>>();
const pace = new Pace();
let current = "";
const address = new Address(() => void show());
links.forEach((link, at) => address.link(link, PANELS[at]?.[0] ?? ""));

/** Shows the panel that the address names. */
async function show(): Promise<void> {
  const asked = address.name;
  const index = Math.max(0, PANELS.findIndex(([id]) => id === asked));
  const [id, name, load] = PANELS[index] as (typeof PANELS)[number];
  const title = `${name} · Inferry`;
  if (address.isSettled && document.title !== title) document.title = title;
  if (id === current) return;
  const before = current;
  current = id;
  links.forEach((link, at) => (at === index ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
  void shown.get(before)?.then((panel) => panel.hidden?.());
  if (!shown.has(id)) shown.set(id, load().then(({ default: make }) => make(session)));
  try {
    const panel = await (shown.get(id) as Promise<Panel>);
    // The press of the link is one stretch, the panel another.
    await pace.give();
    // Somebody may have gone on meanwhile.
    if (current === id) only(panel.element);
  } catch (error) {
    shown.delete(id);
    if (current === id) only(el("p", { class: "failed", role: "alert" }, `This panel could not be fetched: ${(error as Error).message}`));
  }
}

/**
 * Shows one of the elements on the stage. The panels stay there, laid out and not looked at: to show one again is to paint it, and
 * nothing has to be worked out anew.
 */
function only(element: HTMLElement): void {
  for (const other of [...stage.children]) {
    if (other.matches(".failed")) other.remove();
    else other.classList.toggle("away", other !== element);
  }
  if (element.parentElement !== stage) stage.append(element);
}

const mode = document.querySelector("#mode") as HTMLElement;
const describe = (): void => {
  const { short, why } = modeText(session.current);
  mode.textContent = short;
  mode.title = why;
};
session.addEventListener("change", describe);
describe();

document.querySelector("#panels")?.append(...links);
document.querySelector("#tools")?.append(themeButton());
const { beside, below } = cockpit(session);
document.querySelector("main")?.append(beside, below);
void show();
keepForOffline(session);
