// A server renders a page whose code imports the package: nothing may happen, whichever entry its bundler took.

async function imported(t, what, ...flags) {
  const { printed, complained } = await t.node(...flags, "main.mjs", what);
  const { compile, changed } = JSON.parse(printed);
  if (compile !== "function") throw new Error(`compile is ${compile}`);
  if (changed.length || complained) throw new Error(`the import changed ${changed.join(" and ")}; it said: ${complained}`);
}

export const tests = {
  "the entry of Node": (t) => imported(t, "inferry"),
  "the entry of browsers": (t) => imported(t, new URL(`file://${t.installed}/dist/index.js`).href),
};
