/**
 * Memory that is given back at once.
 *
 * Results of models are megabytes each, and a browser looks for garbage when some tens of them have come together: the page stands
 * still for it. What is moved away needs no looking for.
 */

/** Some browsers have it only since 2024; without it the memory goes when garbage is looked for. */
interface Movable {
  transfer?(length: number): unknown;
}

/** Gives back the memory of numbers that nobody looks at any more. */
export function release({ buffer }: Float32Array): void {
  (buffer as Movable).transfer?.(0);
}
