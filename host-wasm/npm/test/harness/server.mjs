// A static server for tests and for the demo page: folders under names, on 127.0.0.1 and a port of the system's choice.
//
// `headers` go on every response, because a worker's script without the headers of its page is blocked, and then the page
// waits for ever. The server counts what was fetched. It knows nothing of the tests.

import { createServer } from "node:http";
import { createReadStream, statSync } from "node:fs";
import { extname, join, normalize, sep } from "node:path";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wav": "audio/wav",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
};

/** The headers with which a page is cross-origin isolated, and so may share memory between workers. */
export const ISOLATED = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** The headers of a host that serves pages of other origins, isolated ones among them. */
export const CDN = { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" };

/**
 * Serves `folders`, which maps the beginning of a path (`/models/`) to one folder or to several that are tried in turn, and
 * `pages`, which maps whole paths to text of HTML; `port` is one to insist on. Gives `{ origin, fetched, close }`.
 */
export async function serve({ folders = {}, pages = {}, headers = {}, port = 0 }) {
  const fetched = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const send = (status, type, body, length) => {
      response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store", ...length, ...headers });
      if (typeof body === "string") response.end(body);
      else body.pipe(response);
    };
    // What every browser asks for by itself.
    if (path === "/favicon.ico") return response.writeHead(204, headers).end();
    if (path in pages) return send(200, TYPES[".html"], pages[path]);
    const file = find(folders, path);
    if (file === undefined) return send(404, "text/plain", `nothing at ${path}`);
    fetched.push(path);
    // With its length, a page can say how far a file is.
    send(200, TYPES[extname(file)] ?? "application/octet-stream", createReadStream(file), { "Content-Length": statSync(file).size });
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { origin: `http://127.0.0.1:${server.address().port}`, fetched, close };
}

function find(folders, path) {
  // The longest name first: `/test/` may lie inside `/`.
  for (const name of Object.keys(folders).sort((a, b) => b.length - a.length)) {
    if (!path.startsWith(name)) continue;
    for (const folder of [folders[name]].flat()) {
      const file = normalize(join(folder, path.slice(name.length)));
      if (!(file + sep).startsWith(normalize(folder + sep))) continue;
      const found = statSync(file, { throwIfNoEntry: false });
      if (found?.isFile()) return file;
      if (found?.isDirectory() && statSync(join(file, "index.html"), { throwIfNoEntry: false })) return join(file, "index.html");
    }
  }
  return undefined;
}
