/** A client process whose handler throws; it tells its parent what it heard of it and whether the next call succeeds. */
import { createChannel } from "../src/index.ts";

const channel = createChannel({ address: `unix:${process.argv[2] ?? ""}` });
let heard = "";
process.on("uncaughtException", (error) => {
  heard = error.message;
});
const request = { path: "/t.T/Echo", message: [] };
const fail = (): void => {
  throw new Error("from a handler");
};
channel.unary(request, { done: fail, failed: fail });
channel.unary(request, {
  done: () => setImmediate(() => process.send?.(heard, () => process.exit())),
  failed: () => process.exit(1),
});
