// @ts-check
// `node scripts/run.mjs file.ts [arguments]`: any TypeScript program of this checkout.
import { enter } from "./lib/enter.mjs";

const [program, ...args] = process.argv.slice(2);
if (program === undefined) {
  process.stderr.write("usage: node scripts/run.mjs file.ts [arguments]\n");
  process.exit(2);
}
await enter(program, args);
