// @ts-check
// `npm test`: everything that must hold. `npm test -- --help` lists what can be chosen.
import path from "node:path";
import { enter, root } from "./lib/enter.mjs";

await enter(path.join(root, "scripts/test.ts"), process.argv.slice(2));
