/**
 * Light or dark: as the system prefers, until somebody presses the button. What was chosen is remembered.
 */

import { el } from "./dom.js";

const KEY = "inferry-theme";

/** The button. Elements that draw hear of a change by the event `theme` of the window. */
export function themeButton(): HTMLButtonElement {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = (): string | null => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      // A browser that remembers nothing.
      return null;
    }
  };
  let chosen = stored();
  const dark = (): boolean => (chosen ? chosen === "dark" : system.matches);
  const sun = el("span", { class: "sun", "aria-hidden": "true" });
  const made = el("button", { type: "button", class: "icon", "aria-label": "Dark appearance" }, sun);
  const show = (): void => {
    document.documentElement.dataset["theme"] = dark() ? "dark" : "light";
    made.setAttribute("aria-pressed", String(dark()));
    made.title = dark() ? "Switch to light" : "Switch to dark";
    dispatchEvent(new Event("theme"));
  };
  made.addEventListener("click", () => {
    chosen = dark() ? "light" : "dark";
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // It holds until the page is closed.
    }
    show();
  });
  system.addEventListener("change", show);
  show();
  return made;
}
