// A page with a strict Content-Security-Policy: no script but its own, WebAssembly allowed, no eval, no Blob.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

const SCRIPT = `import * as inferry from "/package/dist/index.js";
import { page } from "/common/verify.js";
page(inferry);
`;

export const tests = {
  "a page with a strict policy": async (t) => {
    writeFileSync(join(t.folder, "main.js"), SCRIPT);
    const { origin } = await t.serve({
      folders: { "/package/": t.installed, "/own/": t.folder },
      pages: { "/": `<!doctype html><meta charset="utf-8"><body><script type="module" src="/own/main.js"></script>` },
      headers: { "Content-Security-Policy": POLICY },
    });
    // A violation is an error on the console, which fails the test.
    await t.open(`${origin}/`);
  },
};
