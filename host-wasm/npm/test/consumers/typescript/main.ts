import { compile, InferError, Tensor, type Model } from "inferry";

/** Uses the surface as a strict program does; it is checked, not run. */
export async function scores(source: URL, pixels: Float32Array<ArrayBuffer>, signal: AbortSignal): Promise<number[]> {
  const model: Model = await compile(source, { signal, executor: "isolated" });
  try {
    const outputs = await model.run([new Tensor("float32", pixels, [1, 12, 12, 3])], { signal, timeout: 1000 });
    return Object.values(outputs).map((tensor) => tensor.size);
  } catch (error) {
    if (error instanceof InferError && error.code === "timeout") return [];
    throw error;
  } finally {
    model.dispose();
  }
}
