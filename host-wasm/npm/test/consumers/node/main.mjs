import { readFile } from "node:fs/promises";
import * as inferry from "inferry";
import { verify } from "../common/verify.js";

const read = async (name) => new Uint8Array(await readFile(new URL(`../public/fixture/${name}`, import.meta.url))).buffer;
console.log(JSON.stringify(await verify(inferry, read)));
