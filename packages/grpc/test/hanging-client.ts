/** A client process for tests that kill it: calls a method that never answers at the socket of argument 1. */
import { createChannel } from "../src/index.ts";

createChannel({ address: `unix:${process.argv[2] ?? ""}` }).unary(
  { path: "/t.T/Wait", message: [] },
  { done: () => {}, failed: () => {} },
);
process.on("disconnect", () => process.exit());
