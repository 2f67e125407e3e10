/** Unary calls: one message in, one out. */
import type { UnaryServerCall } from "@spillway/grpc";
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
      if ("message" in outcome)
        return call.respond(outcome.message, [["x-request-id", requestId], ...outcome.headers]);
      const { failure } = outcome;
      call.fail(statusOf(failure), failure.message, failureMetadata(failure, requestId));
    },
  });
  call.onCancel(() => exchange.cancel(cancelReason(call, head, context)));
  exchange.start();
}
