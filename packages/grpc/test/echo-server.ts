/** A server process for tests that kill it: argument 1 is the socket's path. Says "listening" to its parent. */
import { rm } from "node:fs/promises";
import { createGrpcServer } from "../src/index.ts";
import { echoMethods } from "./harness.ts";

const server = createGrpcServer({
  methods: new Map([
    ...echoMethods,
    [
      "/t.T/After",
      {
        kind: "unary",
        handle: (call) => void setTimeout(() => call.respond([]), Number(Buffer.from(call.message))),
      },
    ],
  ]),
});

await rm(process.argv[2] ?? "", { force: true });
await server.listen({ path: process.argv[2] ?? "" });
process.send?.("listening");
process.on("disconnect", () => process.exit());
