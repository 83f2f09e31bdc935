// Serves the built page on this machine: `node serve.mjs [--plain] [--port N]`.
//
// With the headers that isolate a page, or with `--plain` without them, as most static hosts send it. Prints the address
// in a line of its own, and stops with the process; with `--held`, when nobody holds the other end of its input any more.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ISOLATED, serve } from "../host-wasm/npm/test/harness/server.mjs";

const { values } = parseArgs({
  options: { plain: { type: "boolean", default: false }, held: { type: "boolean", default: false }, port: { type: "string", default: "8123" } },
});
const dist = join(dirname(fileURLToPath(import.meta.url)), "dist");
if (!existsSync(join(dist, "index.html"))) {
  console.error("the page has not been built: run npm run build, or cargo xtask serve");
  process.exit(1);
}
const port = Number(values.port);
const open = (port) => serve({ folders: { "/": dist }, headers: values.plain ? {} : ISOLATED, port });
// Somebody else may have the port; then any will do.
const { origin } = await open(port).catch((error) => {
  if (error.code === "EADDRINUSE") return open(0);
  throw error;
});
console.log(`${origin}/`);
if (values.held) process.stdin.on("end", () => process.exit()).resume();
