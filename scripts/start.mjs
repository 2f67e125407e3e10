// @ts-check
// `npm start`: the gateway from this checkout.
import path from "node:path";
import { enter, root } from "./lib/enter.mjs";

await enter(path.join(root, "packages/gateway/src/cli/main.ts"), ["serve", ...process.argv.slice(2)]);
