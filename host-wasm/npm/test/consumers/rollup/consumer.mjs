// Rollup, with the plugin that most use for `new URL(…, import.meta.url)`: the worker is one file, so it may be copied like
// any other.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { nodeResolve } from "@rollup/plugin-node-resolve";
import { importMetaAssets } from "@web/rollup-plugin-import-meta-assets";
import { rollup } from "rollup";

export const tests = {
  "a build": async (t) => {
    const dir = join(t.folder, "out");
    const bundle = await rollup({ input: join(t.folder, "main.js"), plugins: [nodeResolve({ browser: true }), importMetaAssets()] });
    await bundle.write({ dir, format: "es", entryFileNames: "main.js" });
    await bundle.close();
    copyFileSync(join(t.folder, "index.html"), join(dir, "index.html"));
    const { origin } = await t.serve({ folders: { "/": dir } });
    await t.open(`${origin}/`);
  },
};
