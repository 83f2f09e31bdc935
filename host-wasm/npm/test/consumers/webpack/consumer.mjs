// webpack 5 without a word of configuration for the package.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import webpack from "webpack";

export const tests = {
  "a production build": async (t) => {
    const path = join(t.folder, "out");
    const compiler = webpack({ mode: "production", context: t.folder, entry: "./main.js", output: { path, filename: "main.js", clean: true }, performance: false });
    const stats = await new Promise((resolve, reject) => compiler.run((error, stats) => (error ? reject(error) : resolve(stats))));
    await new Promise((resolve) => compiler.close(resolve));
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString({ all: false, errors: true, warnings: true }));
    copyFileSync(join(t.folder, "index.html"), join(path, "index.html"));
    const { origin } = await t.serve({ folders: { "/": path } });
    await t.open(`${origin}/`);
  },
};
