// Vite without a word of configuration for the package: a build at the root and in a sub-folder, and the development server.

import { join } from "node:path";
import { build, createServer } from "vite";

const options = (folder) => ({ root: folder, configFile: false, logLevel: "warn", publicDir: join(folder, "../public") });

async function built(t, name, base) {
  const outDir = join(t.folder, name);
  await build({ ...options(t.folder), base, build: { outDir, emptyOutDir: true } });
  return outDir;
}

export const tests = {
  "a build at the root of a site": async (t) => {
    const { origin } = await t.serve({ folders: { "/": await built(t, "out-root", "/") } });
    await t.open(`${origin}/`);
  },
  "a build in a folder of a site": async (t) => {
    const { origin } = await t.serve({ folders: { "/deep/er/": await built(t, "out-deep", "./") } });
    await t.open(`${origin}/deep/er/`);
  },
  "the development server": async (t) => {
    const server = await createServer({ ...options(t.folder), cacheDir: join(t.folder, ".cache"), server: { host: "127.0.0.1", port: 0 } });
    await server.listen();
    try {
      await t.open(server.resolvedUrls.local[0]);
    } finally {
      await server.close();
    }
  },
};
