// The package on a host of another origin, where a page may not start a worker from: it starts one of its own, which imports.

async function site(t, headers) {
  const cdn = await t.serve({ folders: { "/npm/inferry/": t.installed }, headers: t.CDN });
  const page = `<!doctype html>
<meta charset="utf-8">
<body>
<script type="module">
import * as inferry from "${cdn.origin}/npm/inferry/dist/index.js";
import { page } from "/common/verify.js";
page(inferry);
</script>
`;
  return t.serve({ pages: { "/": page }, headers });
}

export const tests = {
  "a plain page": async (t) => {
    await t.open(`${(await site(t)).origin}/`);
  },
  "a cross-origin isolated page": async (t) => {
    await t.open(`${(await site(t, t.ISOLATED)).origin}/`);
  },
};
