// The tarball as its judges see it: publint for what tools expect, arethetypeswrong for the declarations.

import { readFileSync } from "node:fs";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

/** The package is ESM alone: what CommonJS and the oldest resolution make of it is no mistake. */
const RESOLUTIONS = ["node16-esm", "bundler"];
const MEANT = ["CJSResolvesToESM"];

export const tests = {
  publint: async (t) => {
    const { messages, pkg } = await publint({ pkgDir: t.installed, strict: true });
    if (messages.length) throw new Error(messages.map((message) => formatMessage(message, pkg, { color: false })).join("\n"));
  },
  arethetypeswrong: async (t) => {
    const { types, problems } = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(t.tarball))));
    if (!types) throw new Error("the package has no declarations");
    const counted = problems.filter(({ kind, resolutionKind }) => !MEANT.includes(kind) && (!resolutionKind || RESOLUTIONS.includes(resolutionKind)));
    if (counted.length) throw new Error(JSON.stringify(counted, null, 2));
  },
  "nothing but what is meant is packed": async (t) => {
    const { files, dependencies, scripts } = JSON.parse(readFileSync(`${t.installed}/package.json`, "utf8"));
    if (dependencies || scripts) throw new Error("the package has dependencies or scripts");
    if (!files.includes("dist")) throw new Error("the package does not say what is packed");
  },
};
