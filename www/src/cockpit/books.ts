/**
 * The books of the hard mode, as a table: what should have become of the requests, and what did.
 */

import { el } from "../dom.js";
import { type Ended, KINDS, type Kind, type Report } from "../hard.js";
import { ms } from "../numbers.js";

/** The numbers of a row. */
interface Cells {
  readonly right: HTMLElement;
  readonly refused: HTMLElement;
  readonly other: HTMLElement;
}

/** The card, which is not there before the button was pressed. */
export class Books {
  readonly element: HTMLElement;
  readonly #verdict = el("p", { class: "verdict", role: "status" });
  readonly #cells: Readonly<Record<Kind, Cells>>;

  constructor() {
    const kinds = Object.keys(KINDS) as Kind[];
    const made = kinds.map((kind) => [kind, { right: cell(), refused: cell(), other: cell() }] as const);
    this.#cells = Object.fromEntries(made) as Record<Kind, Cells>;
    const rows = made.map(([kind, { right, refused, other }]) => el("tr", { "data-kind": kind },
      el("th", { scope: "row" }, KINDS[kind].name), el("td", { class: "number" }, String(KINDS[kind].many)),
      el("td", {}, el("code", {}, KINDS[kind].right)), right, refused, other));
    const heads = ["requests", "asked", "must end as", "did", "refused", "else"];
    this.element = el("section", { class: "card", "aria-label": "Hard mode", hidden: true, id: "hard" },
      el("h3", {}, "200 requests"), this.#verdict,
      el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What became of the 200 requests" },
        el("table", { class: "books" }, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, ...rows))));
  }

  /** A new page. */
  begin(): void {
    this.element.hidden = false;
    this.#verdict.dataset["tone"] = "plain";
    this.#verdict.textContent = "Under way …";
    this.count([]);
  }

  /** So far. */
  count(ended: readonly Ended[]): void {
    for (const kind of Object.keys(KINDS) as Kind[]) {
      const own = ended.filter((one) => one.kind === kind);
      const right = own.filter(({ outcome }) => outcome === KINDS[kind].right).length;
      const refused = own.filter(({ outcome }) => outcome === "busy" || outcome === "displaced").length;
      const { [kind]: cells } = this.#cells;
      cells.right.textContent = String(right);
      cells.refused.textContent = String(refused);
      cells.other.textContent = String(own.length - right - refused);
    }
  }

  /** The end. */
  close({ ended, failed, mistakes, refused, took }: Report): void {
    this.count(ended);
    const right = mistakes.length === 0;
    this.#verdict.dataset["tone"] = right ? "good" : "bad";
    const policy = refused > 0 ? ` (${refused} of them by the policy of the queue)` : "";
    this.#verdict.textContent = right
      ? `Exactly the right ${failed} failed${policy}, and ${ended.length - failed} gave their own answer, in ${ms(took)}.`
      : `${mistakes.length} did not end as they should: ${mistakes.slice(0, 3).join("; ")}`;
  }

  /** It was stopped, or could not begin. */
  say(text: string): void {
    this.#verdict.dataset["tone"] = "plain";
    this.#verdict.textContent = text;
  }
}

function cell(): HTMLElement {
  return el("td", { class: "number" }, "0");
}
