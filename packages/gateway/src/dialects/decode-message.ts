/** Decoding of protobuf messages that callers sent. */
import { failure, type Failure } from "../core/errors.ts";

/** The message, or `bad_request` when the bytes are none of that type. */
export function decodeMessage<Message extends object>(
  type: { readonly name: string; decode(bytes: Uint8Array): Message },
  bytes: Uint8Array,
): Message | Failure {
  try {
    return type.decode(bytes);
  } catch {
    return failure("bad_request", `The message is not a valid ${type.name}`);
  }
}
