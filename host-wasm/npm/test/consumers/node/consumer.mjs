// Node: a program that runs a model and then ends by itself, because no worker keeps it.

export const tests = {
  "a program runs a model and ends": async (t) => {
    const { printed } = await t.node("main.mjs");
    const { worst } = JSON.parse(printed.trim().split("\n").pop());
    if (typeof worst !== "number") throw new Error(`it said: ${printed}`);
  },
};
