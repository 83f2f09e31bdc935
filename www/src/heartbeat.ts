/**
 * How smooth the page's thread is: the times between the ticks of a timer of 0 ms.
 *
 * A timer that is late is what somebody feels who scrolls or types meanwhile. Browsers let nested timers wait four
 * milliseconds, so that is what an idle page shows. A page that is not seen is not measured: browsers slow its timers down.
 */

/** A tick that came late or not: when (by `performance.now()`), and milliseconds since the one before. */
export interface Tick {
  readonly at: number;
  readonly gap: number;
}

/** So many ticks are kept: more than a minute. */
const KEPT = 1 << 14;

/** The timer, which goes on from {@link Heartbeat.start} to the end of the page. */
export class Heartbeat {
  #ticks: Tick[] = [];
  #last = 0;
  #going = false;

  /** Begins to measure. */
  start(): void {
    if (this.#going) return;
    this.#going = true;
    document.addEventListener("visibilitychange", () => (this.#last = 0));
    const tick = (): void => {
      const at = performance.now();
      if (this.#last > 0 && !document.hidden) this.#ticks.push({ at, gap: at - this.#last });
      this.#last = document.hidden ? 0 : at;
      if (this.#ticks.length > KEPT) this.#ticks.splice(0, KEPT / 4);
      setTimeout(tick, 0);
    };
    setTimeout(tick, 0);
  }

  /** The ticks after a moment, oldest first. */
  since(moment: number): readonly Tick[] {
    let from = this.#ticks.length;
    while (from > 0 && (this.#ticks[from - 1] as Tick).at > moment) from -= 1;
    return this.#ticks.slice(from);
  }
}

/** The page's. */
export const heartbeat = new Heartbeat();
