/**
 * The part of the address that names a panel.
 *
 * A page that changes its address keeps the browser's own process busy for ten milliseconds and more: history, title, and a tab that is
 * painted anew. When that falls together with a panel that is laid out, both wait for each other. So what a link asks for is shown
 * at once, and the address follows when the page has nothing else to do.
 */

/** The address is changed not before so many milliseconds, and not much later than so many. */
const REST = 300;
const LATEST = 2000;

/** The browser's own word for it, where there is one. */
const idle = globalThis.requestIdleCallback ?? ((call: () => void) => setTimeout(call, 0));

/** Which panel the address names, and what follows when that changes. */
export class Address {
  readonly #changed: () => void;
  #coming: string | undefined;
  #timer = 0;

  /** `changed` is called whenever another name is asked for. */
  constructor(changed: () => void) {
    this.#changed = changed;
    addEventListener("hashchange", () => {
      // Somebody went back, or wrote another address: that is newer than what was to come.
      this.#coming = undefined;
      changed();
    });
  }

  /** The name that was asked for last. */
  get name(): string {
    return this.#coming ?? location.hash.slice(1);
  }

  /** Listens to a link, whose address is `#` and a name. Whoever wants it in a window of its own gets that from the browser. */
  link(element: HTMLAnchorElement, name: string): void {
    element.addEventListener("click", (event) => {
      if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.#coming = name;
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => idle(() => this.#follow(), { timeout: LATEST }), REST);
      this.#changed();
    });
  }

  #follow(): void {
    const name = this.#coming;
    this.#coming = undefined;
    if (name !== undefined && name !== location.hash.slice(1)) history.pushState(null, "", `#${name}`);
    // The title belongs to the entry of the history.
    this.#changed();
  }

  /** Whether the address has followed. */
  get isSettled(): boolean {
    return this.#coming === undefined;
  }
}
