// A strict TypeScript program, with the declarations of the package checked too, in both ways to resolve modules.

import { join } from "node:path";
import ts from "typescript";

function check(t, module, moduleResolution) {
  const options = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    target: ts.ScriptTarget.ES2022,
    lib: ["lib.es2023.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts", "lib.dom.asynciterable.d.ts", "lib.esnext.disposable.d.ts"],
    types: [],
    module,
    moduleResolution,
  };
  const program = ts.createProgram([join(t.folder, "main.ts")], options);
  const problems = ts.getPreEmitDiagnostics(program);
  if (problems.length) {
    const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => t.folder, getNewLine: () => "\n" };
    throw new Error(ts.formatDiagnostics(problems, host));
  }
}

export const tests = {
  "resolved as a bundler does": async (t) => check(t, ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler),
  "resolved as Node does": async (t) => check(t, ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext),
};
