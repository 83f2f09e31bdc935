// A page without any tool: an import map, and the package's own files. Nothing but they can be fetched, so this is where the
// promise about the size of the first load is held against what a browser really fetches.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const PAGE = `<!doctype html>
<meta charset="utf-8">
<script type="importmap">{ "imports": { "inferry": "/package/dist/index.js" } }</script>
<body>
<script type="module">
import * as inferry from "inferry";
import { page } from "/common/verify.js";
page(inferry, Object.fromEntries(new URLSearchParams(location.search)));
</script>
`;

const site = (t, headers) => t.serve({ folders: { "/package/": t.installed }, pages: { "/": PAGE }, headers });

export const tests = {
  "a plain page": async (t) => {
    const { origin } = await site(t);
    const { mode } = await t.open(`${origin}/`);
    if (mode !== "isolated") throw new Error(`a plain page got the mode ${mode}`);
  },
  "a plain page without workers": async (t) => {
    const { origin } = await site(t);
    await t.open(`${origin}/?executor=inline`);
  },
  "a cross-origin isolated page": async (t) => {
    const { origin } = await site(t, t.ISOLATED);
    await t.open(`${origin}/`);
  },
  "the first load is as small as promised": async (t) => {
    const { origin, fetched } = await site(t);
    await t.open(`${origin}/`);
    const files = [...new Set(fetched.filter((path) => path.startsWith("/package/")))];
    const sizes = files.map((path) => [path, gzipSync(readFileSync(join(t.installed, path.slice(9))), { level: 9 }).length]);
    const sum = (chosen) => chosen.reduce((all, [, size]) => all + size, 0);
    const javascript = sizes.filter(([path]) => path.endsWith(".js"));
    const list = sizes.map(([path, size]) => `${size} ${path}`).join("\n");
    if (javascript.length < 2 || sizes.length - javascript.length !== 2) throw new Error(`other files than expected:\n${list}`);
    if (sum(sizes) > 1_000_000 || sum(javascript) > 25_000) throw new Error(`too large:\n${list}`);
  },
};
