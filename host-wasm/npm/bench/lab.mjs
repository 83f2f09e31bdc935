// The room in which is measured: the servers, the browser, and pages that hold a library and a model each.
//
// Every page is a new one, and nothing is cached. A page that does not answer in time fails its measurement alone.

import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { after, launch } from "../test/harness/chromium.mjs";
import { ISOLATED, serve } from "../test/harness/server.mjs";

const sources = resolve(fileURLToPath(new URL(".", import.meta.url)), "..");

/** The longest that a page may take to answer, in ms. */
const LIMIT = 120_000;

/**
 * Who is measured. `coi`: on a page that is cross-origin isolated, and so may share memory. Without `workers` and `threads`
 * the library decides. `auto` is what a user gets who asks for nothing: workers, and this page's thread for tiny models.
 */
export const SIDES = {
  auto1: { whose: "ours", executor: "auto", workers: 1 },
  auto2: { whose: "ours", executor: "auto", workers: 1, threads: 2, coi: true },
  isolated: { whose: "ours", executor: "isolated" },
  isolated1: { whose: "ours", executor: "isolated", workers: 1 },
  isolated2: { whose: "ours", executor: "isolated", workers: 2 },
  isolatedWord: { whose: "ours", executor: "isolated", workers: 1, coi: true },
  inline: { whose: "ours", executor: "inline" },
  shared: { whose: "ours", executor: "shared", coi: true },
  shared1: { whose: "ours", executor: "shared", workers: 1, coi: true },
  main: { whose: "theirs", threads: 1, proxy: false },
  proxy: { whose: "theirs", threads: 1, proxy: true },
  main2: { whose: "theirs", threads: 2, proxy: false, coi: true },
  proxy2: { whose: "theirs", threads: 2, proxy: true, coi: true },
};

export class Lab {
  #servers;
  #browser;

  /** `folders` maps the beginnings of addresses to folders, see `server.mjs`. */
  static async open(folders) {
    const lab = new Lab();
    const all = { "/bench/": join(sources, "bench"), "/test/": join(sources, "test"), ...folders };
    lab.#servers = { plain: await serve({ folders: all }), coi: await serve({ folders: all, headers: ISOLATED }) };
    lab.#browser = await launch();
    // Memory is shared only if that engine has been built.
    lab.hasShared = readdirSync(join(folders["/package/"], "dist")).includes("engine.threads.wasm");
    return lab;
  }

  /** What the browser calls itself. */
  async version() {
    const page = await this.#browser.context.newPage();
    const agent = await page.evaluate("navigator.userAgent");
    await page.close();
    return /Chrome\/([\d.]+)/.exec(agent)?.[1] ?? agent;
  }

  /** The sides of these names that can be measured here. */
  possible(names) {
    const shares = ({ whose, executor, threads = 1 }) => whose === "ours" && (executor === "shared" || threads > 1);
    return names.filter((name) => this.hasShared || !shares(SIDES[name]));
  }

  /** A page with nothing in it yet. */
  async page(name) {
    const side = SIDES[name];
    const page = await this.#browser.context.newPage();
    const said = [];
    page.on("pageerror", (error) => said.push(String(error)));
    page.on("console", (message) => message.type() === "error" && said.push(message.text()));
    const { origin } = side.coi ? this.#servers.coi : this.#servers.plain;
    await page.goto(`${origin}/bench/page/index.html`, { waitUntil: "load" });
    const call = async (what, options = {}) => {
      const answer = page.evaluate(([what, options]) => globalThis.bench[what](options), [what, { side, ...options }]);
      answer.catch(() => {});
      const value = await Promise.race([answer, after(LIMIT, page)]).catch((error) => {
        throw new Error(`${name}: ${firstLine(error)}`);
      });
      if (value === page) throw new Error(`${name}: no answer to ${what} in ${LIMIT / 1000} s`);
      return value;
    };
    return { name, call, said, page, close: () => Promise.race([page.close(), after(5000)]) };
  }

  /** Runs `body` with a page for each of the sides, every one with the model opened in it; closes them whatever happens. */
  async with(names, model, body) {
    const pages = [];
    try {
      for (const name of names) {
        const page = await this.page(name);
        pages.push(page);
        page.opened = await page.call("first", { model });
      }
      return await body(pages);
    } finally {
      await Promise.all(pages.map((page) => page.close()));
    }
  }

  async close() {
    await this.#browser?.close();
    await Promise.all(Object.values(this.#servers).map((server) => server.close()));
  }
}

/** What an error says, in one line. */
export function firstLine(error) {
  return String(error?.message ?? error).replace(/^page\.evaluate: /, "").split("\n")[0];
}
