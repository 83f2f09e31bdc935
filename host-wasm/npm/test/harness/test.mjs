// What a test file imports: `test`, and a few ways to insist. The same in a page and in Node, and so without either's modules.
//
// A test is an async function that is handed `t`: `t.inferry` is the package, `t.mode` is `isolated`, `shared`, `inline` or
// `node`, `t.options` are the options of `compile` that choose it, `t.url(path)` is where a test model lies, and
// `t.bytes(path)` its bytes, `t.entry("ort")` another entry of the package. It fails by throwing. `t.skip(why)` ends it without a verdict.

const tests = [];

/** Adds a test; with `modes` it runs in those alone, and `limit` is how long it may take in ms (else a minute). */
export function test(name, run, { modes, limit = 60_000 } = {}) {
  tests.push({ name, run, modes, limit });
}

/** The tests that the files imported so far have added; each is given once. */
export function collected(mode) {
  return tests.splice(0).filter(({ modes }) => !modes || modes.includes(mode));
}

let known = [];

/** The models that have recorded outputs: `{ name, here, tolerance }`; one that is not `here` has not been fetched. */
export function models(set = known) {
  return (known = set);
}

/** Thrown by `t.skip`. */
export class Skip extends Error {}

/** Fails with `message` unless `condition` holds. */
export function ok(condition, message = "this does not hold") {
  if (!condition) throw new Error(message);
}

/** Fails unless the two are the same: numbers, strings, or arrays and plain objects of such. */
export function equal(found, expected, what = "value") {
  if (!same(found, expected)) throw new Error(`${what}: found ${show(found)}, expected ${show(expected)}`);
}

/** Fails unless each number of `found` is within `absolute + relative * |expected|` of the one in `expected`. */
export function close(found, expected, { absolute = 1e-5, relative = 1e-5 } = {}, what = "values") {
  equal(found.length, expected.length, `how many ${what}`);
  for (let at = 0; at < found.length; at++) {
    const [x, y] = [Number(found[at]), Number(expected[at])];
    const near = Math.abs(x - y) <= absolute + relative * Math.abs(y) || (Number.isNaN(x) && Number.isNaN(y)) || x === y;
    if (!near) throw new Error(`${what}[${at}]: found ${x}, expected ${y}`);
  }
}

/** Fails unless `promise` rejects; gives what it rejects with. With `code`, that must be its code. */
export async function rejects(promise, code) {
  const outcome = await promise.then((value) => ({ value }), (error) => ({ error }));
  if (!("error" in outcome)) throw new Error(`resolved with ${show(outcome.value)}, where a rejection was expected`);
  if (code !== undefined && outcome.error?.code !== code) {
    throw new Error(`rejected with code ${show(outcome.error?.code)} (${outcome.error}), expected ${show(code)}`);
  }
  return outcome.error;
}

/** Resolves after the event loop has gone round once; no test waits for a time instead. */
export function turn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(0);
  });
}

function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [x, y] = [Object.keys(a), Object.keys(b)];
  return x.length === y.length && x.every((key) => key in b && same(a[key], b[key]));
}

function show(value) {
  const text = typeof value === "object" && value !== null && !(value instanceof Error)
    ? JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : ArrayBuffer.isView(inner) ? [...inner] : inner))
    : typeof value === "string" ? JSON.stringify(value) : String(value);
  return text?.length > 300 ? `${text.slice(0, 300)}…` : text;
}
