/**
 * Tensors in and out of a request: one copy on either way.
 *
 * Inputs are written straight to where the request's own tensors lie. What does not fit is refused here or by the engine,
 * before anything runs.
 */

import { type ElementType, type PortInfo, type WireInput, WORTH_MOVING, type WireTensor } from "../messages.js";
import { ELEMENTS, byteLength } from "./elements.js";
import { Failure } from "./failure.js";
import { imageTensor } from "./image.js";
import type { Instance } from "./instance.js";
import { decodeStrings, encodeStrings } from "./strings.js";

/** The numbers of element types. */
export const CODES: ReadonlyMap<ElementType, number> = new Map(ELEMENTS.map((type, code) => [type, code]));

/** Writes the inputs of a run. */
export function writeInputs(engine: Instance, request: number, ports: readonly PortInfo[], inputs: readonly WireInput[]): void {
  if (inputs.length !== ports.length) {
    throw new Failure("invalid-input", `the model takes ${ports.length} inputs, not ${inputs.length}`);
  }
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index]!;
    writeInput(engine, request, index, ports[index]!.name, input.type === "image" ? imageTensor(input) : input);
  }
}

function writeInput(engine: Instance, request: number, index: number, name: string, tensor: WireTensor): void {
  const { type, dims, data } = tensor;
  const refuse = (why: string) => new Failure("invalid-input", `input #${index} ${JSON.stringify(name)}: ${why}`);
  if (!dims.every(isExtent)) {
    throw refuse(`[${dims.join(", ")}] is no shape`);
  }
  const code = CODES.get(type);
  if (code === undefined) throw refuse(`${String(type)} is no element type`);
  if (type === "string") {
    if (data instanceof ArrayBuffer) throw refuse("a tensor of strings has strings, not bytes");
    const strings = engine.put(encodeStrings(data));
    engine.check(engine.exports.input_strings(request, index, engine.shape(dims), dims.length, strings));
    return;
  }
  if (!(data instanceof ArrayBuffer)) throw refuse(`a tensor of ${type} has bytes`);
  const bytes = byteLength(type, dims);
  if (data.byteLength !== bytes) {
    throw refuse(`${type} [${dims.join(", ")}] has ${bytes} bytes, not ${data.byteLength}`);
  }
  const at = engine.found(engine.exports.input_place(request, index, code, engine.shape(dims), dims.length));
  engine.write(at, new Uint8Array(data));
}

/** Copies the outputs that are wanted out; the others are `null`. */
export function readOutputs(engine: Instance, request: number, count: number, wanted: readonly number[] | undefined): (WireTensor | null)[] {
  const beyond = wanted?.find((index) => !Number.isInteger(index) || index < 0 || index >= count);
  if (beyond !== undefined) throw new Failure("out-of-range", `no output #${beyond}; there are ${count}`);
  const outputs: (WireTensor | null)[] = [];
  for (let index = 0; index < count; index++) {
    outputs.push(wanted === undefined || wanted.includes(index) ? readOutput(engine, request, index) : null);
  }
  return outputs;
}

function readOutput(engine: Instance, request: number, index: number): WireTensor {
  engine.check(engine.exports.output_look(request, index, engine.scratch));
  // Read before the next call, which may move the memory.
  const type = ELEMENTS[engine.found32(0)] as ElementType;
  const rank = engine.found32(3);
  const dims: number[] = [];
  for (let axis = 0; axis < rank; axis++) dims.push(engine.found32(4 + axis));
  if (type !== "string") return { type, dims, data: engine.copy(engine.found32(1), engine.found32(2)) };
  engine.check(engine.exports.output_strings(request, index));
  return { type, dims, data: decodeStrings(engine.said) };
}

function isExtent(extent: number): boolean {
  return Number.isInteger(extent) && extent >= 0 && extent < 2 ** 32;
}

/** The buffers of tensors that are to be moved. */
export function buffers(tensors: readonly (WireTensor | null)[]): ArrayBuffer[] {
  return tensors.flatMap((tensor) => (tensor?.data instanceof ArrayBuffer && tensor.data.byteLength >= WORTH_MOVING ? [tensor.data] : []));
}
