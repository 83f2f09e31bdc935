// Imports an entry and looks at what that has done: nothing may have happened.

const before = { globals: Object.getOwnPropertyNames(globalThis).join(), resources: process.getActiveResourcesInfo().join() };
const inferry = await import(process.argv[2]);
const after = { globals: Object.getOwnPropertyNames(globalThis).join(), resources: process.getActiveResourcesInfo().join() };
const changed = Object.keys(before).filter((key) => before[key] !== after[key]);
console.log(JSON.stringify({ compile: typeof inferry.compile, changed }));
