/** Whole answers over gRPC. */
import type { HeaderList } from "../core/headers.ts";
import type { WireAnswer } from "../core/request.ts";

const noHeaders: HeaderList = [];

/** An answer whose body is one message, in pieces. The status has no meaning there; the headers go out as metadata of a unary call. */
export function rpcAnswer(message: readonly Uint8Array[], headers: HeaderList = noHeaders): WireAnswer {
  return { status: 200, headers, body: message };
}
