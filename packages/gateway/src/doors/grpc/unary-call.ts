/** Unary calls: one message in, one out. */
import { freeMemory, type UnaryServerCall } from "@spillway/grpc";
import type { SpentMemory } from "../../core/wire-answer.ts";
import { MessageExchange } from "./message-exchange.ts";
import { cancelReason, type OpenCall } from "./rpc-context.ts";
import { failureMetadata, statusOf } from "./rpc-status.ts";

/** Answers a call whose message is in. */
export function answerUnary({ call, head, context, method, meter }: OpenCall<UnaryServerCall>): void {
  const { requestId, receivedAt } = head;
  const { path, message, timeoutMs } = call;
  const exchange = new MessageExchange({
    context,
    method,
    meter,
    head,
    path,
    message,
    timeoutMs,
    receivedAt,
    isFurther: false,
    done(outcome) {
      if ("failure" in outcome) {
        const { failure } = outcome;
        return call.fail(statusOf(failure), failure.message, failureMetadata(failure, requestId));
      }
      const { spent, headers } = outcome;
      const free = spent === undefined ? undefined : (): void => freeSpent(spent, message);
      call.respond(outcome.message, [["x-request-id", requestId], ...headers], free);
    },
  });
  call.onCancel(() => exchange.cancel(cancelReason(call, head, context)));
  exchange.start();
}

function freeSpent({ answer, request }: SpentMemory, message: Uint8Array): void {
  if (answer !== undefined) freeMemory(answer);
  if (request) freeMemory(message);
}
