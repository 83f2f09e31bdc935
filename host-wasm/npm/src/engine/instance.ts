/**
 * One instance of the engine's module: its memory, its stack, and what it says.
 *
 * Texts and bytes come out by the import `said` and are copied at once; blocks that go in are taken here, written, and handed
 * over. Every failure that the engine reports is thrown as a {@link Failure}; whatever else is thrown by a call means that
 * the instance is damaged. This does not know of messages.
 */

import type { InferErrorCode } from "../errors.js";
import type { EnginePhase } from "../messages.js";
import type { Exports } from "./abi.js";
import { FAILED } from "./abi.js";
import { Failure } from "./failure.js";

/** What the worker lends to the engine. */
export interface Lent {
  /** Over shared memory: the memory, and which agent of it this is. */
  readonly shared?: { readonly memory: WebAssembly.Memory; readonly agent: number } | undefined;
  /** True when the run under way should stop; asked between any two blocks of tiles. */
  readonly stopped: () => boolean;
  /** How far the load of a model has come. */
  readonly progress: (model: number, phase: EnginePhase, done: number, total: number) => void;
}

const PHASES: readonly EnginePhase[] = ["parse", "optimise", "pack", "warm-up"];

const PAGE = 65536;

/** The stack of an agent: as large as the one that the linker gives to the first. */
const STACK_PAGES = 16;

/** Stands at the far end of an agent's stack: behind it is memory of others, and no trap. */
const CANARY = 0x5afe57ac;

/** Words of the block through which shapes cross; a shape has at most 8 extents. */
const SCRATCH_WORDS = 16;

export class Instance {
  /** What a panic said before it trapped. */
  lastWords: string | undefined;
  readonly #memory: WebAssembly.Memory;
  readonly #scratch: number;
  /** Where the canary stands. */
  readonly #stackEnd: number | undefined;
  /** What was said, at the beginning of a block that is used again: most runs say that there is nothing to say. */
  #heard = new Uint8Array(64);
  /** All of the memory, as it was when it was looked at last: a view costs as much as a small kernel. */
  #seen = { bytes: new Uint8Array(), words: new Int32Array() };
  #saidLength = 0;

  static async open(module: WebAssembly.Module, lent: Lent): Promise<Instance> {
    // The imports need the instance and the other way round: calls come only after both are there.
    let instance: Instance | undefined;
    const copy = (at: number, length: number) => instance?.bytes(at, length).slice() ?? new Uint8Array();
    const host = {
      now: () => performance.now(),
      stopped: () => (lent.stopped() ? 1 : 0),
      said: (at: number, length: number) => void (instance && instance.#keep(at, length)),
      panicked: (at: number, length: number) => void (instance && (instance.lastWords = decode(copy(at, length)))),
      progressed: (model: number, phase: number, done: number, total: number) =>
        lent.progress(model >>> 0, PHASES[phase] ?? "warm-up", done, total),
      wait: (at: number, value: number) => void Atomics.wait(instance!.words(at, 1), 0, value),
      wake: (at: number, most: number) => void Atomics.notify(instance!.words(at, 1), 0, most >>> 0),
    };
    const env = lent.shared === undefined ? {} : { memory: lent.shared.memory };
    const { exports } = await WebAssembly.instantiate(module, { host, env });
    instance = new Instance(exports as unknown as Exports, lent);
    instance.#prepare();
    return instance;
  }

  private constructor(
    readonly exports: Exports,
    lent: Lent,
  ) {
    const memory = exports.memory ?? lent.shared?.memory;
    if (memory === undefined) throw new Error("the engine has no memory: a build with threads needs a shared one");
    this.#memory = memory;
    this.#stackEnd = lent.shared === undefined || lent.shared.agent === 0 ? undefined : takeStack(exports, memory);
    this.#scratch = exports.memory_take(SCRATCH_WORDS * 4) >>> 0;
  }

  #prepare(): void {
    if (this.#scratch === 0) throw new Error("there is no memory for the engine");
    if (this.#stackEnd !== undefined) this.words(this.#stackEnd, 1)[0] = CANARY;
  }

  /** Bytes that the instance occupies; it never gives any back. */
  get size(): number {
    return this.#memory.buffer.byteLength;
  }

  /** The memory as it is now; it moves when it grows. */
  bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at >>> 0, length >>> 0);
  }

  /** Writes bytes at an address. */
  write(at: number, bytes: Uint8Array): void {
    this.#all((at >>> 0) + bytes.length).bytes.set(bytes, at >>> 0);
  }

  /** The words of the memory as far as `end`, an address; to be read before the next call. */
  #all(end: number): { readonly bytes: Uint8Array; readonly words: Int32Array } {
    // What has grown is another buffer: the old one has no length any more or, when it is shared, ends too early.
    if (this.#seen.bytes.length < end) {
      const { buffer } = this.#memory;
      this.#seen = { bytes: new Uint8Array(buffer), words: new Int32Array(buffer) };
    }
    return this.#seen;
  }

  /** As {@link bytes}, by words. */
  words(at: number, length: number): Int32Array {
    return new Int32Array(this.#memory.buffer, at >>> 0, length);
  }

  /** A copy that belongs to nobody else, also of shared memory. */
  copy(at: number, length: number): ArrayBuffer {
    const { buffer } = this.#memory;
    if (buffer instanceof ArrayBuffer) return buffer.slice(at >>> 0, (at >>> 0) + length);
    const target = new Uint8Array(length);
    target.set(this.bytes(at, length));
    return target.buffer;
  }

  /** A block for so many bytes. A function that keeps it frees it. */
  take(length: number): number {
    const at = this.exports.memory_take(length) >>> 0;
    if (at === 0) throw new Failure("out-of-memory", `no memory for ${length} bytes`);
    return at;
  }

  /** A block with these bytes. */
  put(bytes: Uint8Array): number {
    const at = this.take(bytes.length);
    this.bytes(at, bytes.length).set(bytes);
    return at;
  }

  /** Writes extents where the engine reads shapes; gives the address. */
  shape(dims: readonly number[]): number {
    const { words } = this.#all(this.#scratch + SCRATCH_WORDS * 4);
    const first = this.#scratch >>> 2;
    for (let axis = 0; axis < dims.length && axis < SCRATCH_WORDS; axis++) words[first + axis] = dims[axis] ?? 0;
    return this.#scratch;
  }

  /** Where the engine writes what it finds of an output. */
  get scratch(): number {
    return this.#scratch;
  }

  /** A word of what it has written there. */
  found32(index: number): number {
    return (this.#all(this.#scratch + SCRATCH_WORDS * 4).words[(this.#scratch >>> 2) + index] ?? 0) >>> 0;
  }

  /** Throws when a status says so. */
  check(status: number): number {
    if (this.#stackEnd !== undefined && this.#all(this.#stackEnd + 4).words[this.#stackEnd >>> 2] !== CANARY) {
      throw new RangeError("the stack of an agent has overflowed into the memory of others");
    }
    if (status !== FAILED) return status;
    const { code, message, node } = this.saidJson() as { code: InferErrorCode; message: string; node?: string };
    throw new Failure(code, message, node);
  }

  /** Throws when a number or an address is the 0 that says so. */
  found(number: number): number {
    if (number === 0) this.check(FAILED);
    return number >>> 0;
  }

  /** What the latest call said; overwritten by the next. */
  get said(): Uint8Array {
    return this.#heard.subarray(0, this.#saidLength);
  }

  #keep(at: number, length: number): void {
    if (length > this.#heard.length) this.#heard = new Uint8Array(length);
    this.#heard.set(this.bytes(at, length));
    this.#saidLength = length;
  }

  saidJson(): unknown {
    return JSON.parse(decode(this.said));
  }
}

/**
 * Gives an agent a stack of its own; gives its far end. Nothing of the engine may run before: until then the stack is the
 * first agent's. The memory that is grown here was nobody's, whoever else grows it at the same time.
 */
function takeStack(exports: Exports, memory: WebAssembly.Memory): number {
  const stack = exports.__stack_pointer;
  if (stack === undefined) throw new Error("this build of the engine is not one for shared memory");
  const end = memory.grow(STACK_PAGES) * PAGE;
  stack.value = (end + STACK_PAGES * PAGE) | 0;
  return end;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
