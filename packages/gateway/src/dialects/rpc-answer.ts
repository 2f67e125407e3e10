/** Whole answers over gRPC. */
import type { HeaderList } from "../core/headers.ts";
import type { WireAnswer } from "../core/request.ts";

const noHeaders: HeaderList = [];

/** An answer whose body is one message, in pieces. Status and headers have no meaning there. */
export function rpcAnswer(message: readonly Uint8Array[], headers: HeaderList = noHeaders): WireAnswer {
  return { status: 200, headers, body: message };
}
