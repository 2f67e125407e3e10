/** What memory an answer and its request hold, and when it is given back: once the client has taken the answer. */
import type { ServerResponse } from "node:http";
import { freeMemory } from "@spillway/grpc";
import type { SpentMemory } from "../../core/wire-answer.ts";
import type { ByteBudget } from "./byte-budget.ts";

/** Bodies below this size are left to the garbage collector. */
const largeBodyBytes = 65_536;

/** Before the next request takes fresh memory. An answer that is not taken is left to the garbage collector. */
export function freeWhenTaken(
  response: ServerResponse,
  { answer, request }: SpentMemory,
  body: Uint8Array,
): void {
  const large = request && body.length >= largeBodyBytes ? body : undefined;
  if (answer === undefined && large === undefined) return;
  response.once("finish", () => {
    if (answer !== undefined) freeMemory(answer);
    if (large !== undefined) freeMemory(large);
  });
}

/** Counts the bytes as held until the client has taken them, or has left. */
export function holdUntilTaken(response: ServerResponse, budget: ByteBudget, bytes: number): void {
  budget.force(bytes);
  response.once("close", () => budget.release(bytes));
}
