// esbuild, which leaves `new URL(…, import.meta.url)` as it is: the files behind it are copied beside the output.

import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

export const tests = {
  "a build with the files copied": async (t) => {
    const outdir = join(t.folder, "out");
    await build({ entryPoints: [join(t.folder, "main.js")], bundle: true, format: "esm", splitting: true, minify: true, outdir, logLevel: "silent" });
    const dist = join(t.installed, "dist");
    const beside = readdirSync(dist).filter((name) => name === "worker.js" || name.endsWith(".wasm"));
    for (const name of beside) copyFileSync(join(dist, name), join(outdir, name));
    copyFileSync(join(t.folder, "index.html"), join(outdir, "index.html"));
    const { origin } = await t.serve({ folders: { "/": outdir } });
    await t.open(`${origin}/`);
  },
};
