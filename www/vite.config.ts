// How the page is built: static files that may lie in any folder of any server.
//
// Besides what Vite does by itself, the service worker gets a name without a hash, because browsers look for it by name, and
// the list of the files that were built.

import { defineConfig, type Plugin } from "vite";

/** Files that are not worth keeping before somebody wants them: the engines (the page says which one) and what they are held against. */
const LATER = /(engine[.\w-]*\.wasm|ort[.\w-]*\.(wasm|mjs|js)|\.map)$/;

/** Writes the names of the built files into the service worker. */
function shell(): Plugin {
  return {
    name: "shell",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") throw new Error("there is no service worker among the built files");
      const files = Object.keys(bundle).filter((file) => file !== "sw.js" && !file.endsWith(".html")).sort();
      const later = files.filter((file) => LATER.test(file));
      const first = ["./", ...files.filter((file) => !LATER.test(file))];
      if (!worker.code.includes("__FIRST__")) throw new Error("the service worker asks for no list of files");
      worker.code = worker.code.replace("__FIRST__", JSON.stringify(first)).replace("__LATER__", JSON.stringify(later));
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [shell()],
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Small pictures inside of scripts would be fetched by those who never see them.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
    rollupOptions: {
      input: { main: "index.html", sw: "src/sw.ts" },
      output: { entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
});
