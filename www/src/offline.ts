/**
 * Registers the service worker, and tells it which engine this browser runs.
 */

import type { Session } from "./session.js";

/** Once the page stands still: nothing of this is needed to see it. */
export function keepForOffline(session: Session): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const begin = async (): Promise<void> => {
    try {
      await navigator.serviceWorker.register(new URL("sw.js", document.baseURI), { scope: "./" });
      const { active } = await navigator.serviceWorker.ready;
      // The engine is only fetched when something runs, perhaps before the service worker was there to see it.
      const keep = (): void => {
        if (!session.current) return;
        session.removeEventListener("change", keep);
        active?.postMessage({ keep: session.current.flavour });
      };
      session.addEventListener("change", keep);
      keep();
    } catch (error) {
      // A private window, or a server without TLS: everything works, but for offline.
      console.info(`the page is not kept for offline: ${(error as Error).message}`);
    }
  };
  const soon = globalThis.requestIdleCallback ?? ((call: () => void) => setTimeout(call, 1000));
  if (document.readyState === "complete") soon(() => void begin());
  else addEventListener("load", () => soon(() => void begin()), { once: true });
}
