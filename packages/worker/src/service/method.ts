/** The shape all unary methods share: bytes in, a message or a refusal out. */
import type { MethodHandler, UnaryServerCall } from "@spillway/grpc";
import type { Refusal } from "../refusal.ts";
import { errorText, isRefusal, refuse } from "../refusal.ts";

/** A generated message class, as far as methods need it. */
export interface MessageCodec<Message> {
  decode(bytes: Uint8Array): Message;
}

/** A message that is ready to be sent, in pieces. */
export type Reply = readonly Uint8Array[] | Refusal;

/** Longest text of a failure in the trailers; names in it come from callers and may be long. */
const maxMessageLength = 1_000;

/** Answers a call with a refusal. Rows at fault are in the trailer `spillway-bad-rows`, from 0. */
export function answerRefusal(call: UnaryServerCall, refusal: Refusal): void {
  const { code, message, badRows } = refusal;
  const text = message.length > maxMessageLength ? `${message.slice(0, maxMessageLength)}…` : message;
  const rows = badRows?.slice(0, 256).join(",");
  call.fail(code, text, rows === undefined ? [] : [["spillway-bad-rows", rows]]);
}

/** The decoded message, or the refusal of bytes that are none. */
export function decodeMessage<Message>(codec: MessageCodec<Message>, bytes: Uint8Array): Message | Refusal {
  try {
    return codec.decode(bytes);
  } catch (error) {
    return refuse("invalid", `the request is not a valid protobuf message: ${errorText(error)}`);
  }
}

/** A method that answers at once. An Error it throws is answered INTERNAL. */
export function unaryMethod<Message extends object>(
  codec: MessageCodec<Message>,
  handle: (request: Message) => Reply | Promise<Reply>,
): MethodHandler {
  const answer = (call: UnaryServerCall, reply: Reply) => {
    if (isRefusal(reply)) answerRefusal(call, reply);
    else call.respond(reply);
  };
  return {
    kind: "unary",
    handle(call) {
      const request = decodeMessage(codec, call.message);
      if (isRefusal(request)) return answerRefusal(call, request);
      try {
        const reply = handle(request);
        if (!(reply instanceof Promise)) return answer(call, reply);
        reply.then(
          (later) => answer(call, later),
          (error: unknown) => answerRefusal(call, refuse("internal", errorText(error))),
        );
      } catch (error) {
        answerRefusal(call, refuse("internal", errorText(error)));
      }
    },
  };
}
