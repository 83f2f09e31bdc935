// The stopwatches, as they run in the page. What their numbers mean is decided outside.
//
// The clock has steps of 100 us on a plain page and of 5 us on an isolated one, so that a short run is timed in batches.

/** Runs until the browser's compilers have seen enough; gives milliseconds a run. */
export async function warm(run, { least = 5, ms = 500, most = 4000 } = {}) {
  const began = performance.now();
  let runs = 0;
  let last = began;
  let shortest = Infinity;
  for (;;) {
    await run();
    runs += 1;
    const now = performance.now();
    shortest = Math.min(shortest, now - last);
    last = now;
    if ((runs >= least && now - began >= ms) || now - began >= most) break;
  }
  // A run below the steps of the clock: what the mean says.
  return shortest >= 1 ? shortest : (last - began) / runs;
}

/** Milliseconds a run, for each of `samples` batches. */
export async function time(run, { samples, batch }) {
  const times = [];
  for (let sample = 0; sample < samples; sample++) {
    const began = performance.now();
    for (let i = 0; i < batch; i++) await run();
    times.push((performance.now() - began) / batch);
  }
  return times;
}

/** Runs a second with so many under way at any time, for so long, or for `most` runs if that is sooner. */
export async function inFlight(run, { many, ms, most = Infinity }) {
  const began = performance.now();
  let done = 0;
  let last = began;
  const one = async () => {
    while (performance.now() - began < ms && done < most) {
      await run();
      done += 1;
      last = performance.now();
    }
  };
  await Promise.all(Array.from({ length: many }, one));
  return (1000 * done) / (last - began);
}

/** The times at which a timer of 0 ms ticks on this thread while `work` goes on, with an idle time before and after it. */
export async function ticks(work, { idle }) {
  const at = { before: [], during: [], after: [] };
  let into = at.before;
  let isOver = false;
  const tick = () => {
    into.push(performance.now());
    if (!isOver) setTimeout(tick, 0);
  };
  setTimeout(tick, 0);
  await wait(idle);
  // The tick that ends a gap is in the list of the time in which the gap began.
  into = at.during;
  into.push(at.before.at(-1));
  await work();
  await wait(0);
  await wait(0);
  into = at.after;
  await wait(idle);
  isOver = true;
  return at;
}

/**
 * Stops runs at various points of their way: `usual` is how long one takes undisturbed, `start(signal or limit)` begins one.
 *
 * Gives for each that was stopped in time the milliseconds from `abort()` to its rejection, with `byTimeout` those after the
 * timeout was due, and for each the time of a run begun at once afterwards.
 */
export async function stops(run, { count, usual, byTimeout }) {
  const found = { stopped: [], next: [], missed: 0, codes: {} };
  for (let turn = 0; turn < 3 * count && found.stopped.length < count; turn++) {
    // From a tenth to nine tenths of the way, in an order without pattern.
    const wanted = usual * (0.1 + 0.8 * ((turn * 0.618034) % 1));
    const stopped = byTimeout ? await afterTimeout(run, wanted) : await afterAbort(run, wanted);
    if (!stopped) {
      found.missed += 1;
      continue;
    }
    found.stopped.push(stopped.ms);
    found.codes[stopped.code] = (found.codes[stopped.code] ?? 0) + 1;
    const began = performance.now();
    await run();
    found.next.push(performance.now() - began);
  }
  return found;
}

async function afterAbort(run, wanted) {
  const controller = new AbortController();
  const ended = outcome(run({ signal: controller.signal }));
  await wait(wanted);
  const asked = performance.now();
  controller.abort();
  const { error, at } = await ended;
  // It may have ended before; then there was nothing to stop.
  return error && at >= asked ? { ms: at - asked, code: error.code } : undefined;
}

async function afterTimeout(run, wanted) {
  const timeout = Math.max(1, Math.round(wanted));
  const due = performance.now() + timeout;
  const { error, at } = await outcome(run({ timeout }));
  return error ? { ms: at - due, code: error.code } : undefined;
}

function outcome(promise) {
  return promise.then(() => ({ at: performance.now() }), (error) => ({ error, at: performance.now() }));
}

function wait(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
