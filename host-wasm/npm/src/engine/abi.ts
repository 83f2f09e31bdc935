/**
 * The functions of the engine's module, as `host-wasm/engine/src/abi.rs` lists and explains them.
 */

/** What the functions give that can fail. */
export const FAILED = -1;
export const PENDING = 0;
export const DONE = 1;
export const CANCELLED = 2;

/** Numbers are 32 bits and arrive signed: addresses are read with `>>> 0`. */
export interface Exports {
  /** Absent in the flavours with threads, whose memory is imported. */
  readonly memory?: WebAssembly.Memory;
  /** Only in the flavours with threads. */
  readonly __stack_pointer?: WebAssembly.Global;
  memory_take(length: number): number;
  memory_give(address: number): number;
  memory_used(): number;
  load_begin(model: number, profiling: number, warmUps: number): number;
  load_limits(model: number, trips: number, memory: number, strings: number): number;
  load_bytes(model: number, bytes: number): number;
  load_shape(model: number, name: number, extents: number, rank: number): number;
  load_step(model: number, budget: number): number;
  load_stop(model: number): number;
  model_describe(model: number): number;
  model_drop(model: number): number;
  request_open(model: number): number;
  request_close(request: number): number;
  input_place(request: number, input: number, type: number, dims: number, rank: number): number;
  input_strings(request: number, input: number, dims: number, rank: number, strings: number): number;
  run_begin(request: number): number;
  run_step(request: number, budget: number): number;
  run_cancel(request: number): number;
  output_look(request: number, output: number, words: number): number;
  output_strings(request: number, output: number): number;
  run_profile(request: number): number;
  /** Only in the flavours with threads. */
  crew_serve?(): number;
}
