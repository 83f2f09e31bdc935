/**
 * What the stages of a run are called, and the names of models.
 */

import type { TracedRun } from "inferry";

/** The stages in their order: the name, and the colour by the name of its property in the style sheet. */
export const STAGES = [
  { name: "queue", colour: "stage-queue" },
  { name: "copy in", colour: "stage-in" },
  { name: "run", colour: "stage-run" },
  { name: "copy out", colour: "stage-out" },
  { name: "callback", colour: "stage-call" },
] as const;

/** The name of a run's model without its folders. */
export function modelName({ model = "" }: TracedRun): string {
  return model.slice(model.lastIndexOf("/") + 1) || "model";
}
