/** Streams of services that the door does not know: they end when it closes. */
import type { StreamServerCall } from "@spillway/grpc";
import { failure } from "../../core/errors.ts";
import type { OpenStream } from "./rpc-context.ts";
import { failureMetadata, statusOf } from "./rpc-status.ts";

/**
 * The call as a service sees it. It counts among the open streams until either side has ended it; a
 * watcher of health would otherwise hold a closing door until its time is up.
 */
export function trackStream(
  call: StreamServerCall,
  streams: Set<OpenStream>,
  requestId: string,
): StreamServerCall {
  const { path, metadata, timeoutMs, peer } = call;
  const draining = failure("draining");
  let tellCancelled = (): void => {};
  const stream: OpenStream = {
    drain() {
      streams.delete(stream);
      call.fail(statusOf(draining), draining.message, failureMetadata(draining, requestId));
      tellCancelled();
    },
  };
  streams.add(stream);
  call.onCancel(() => {
    streams.delete(stream);
    tellCancelled();
  });
  return {
    path,
    metadata,
    timeoutMs,
    peer,
    onCancel: (listener) => void (tellCancelled = listener),
    send: (message) => call.send(message),
    onDrain: (listener) => call.onDrain(listener),
    onMessage: (listener) => call.onMessage(listener),
    onEnd: (listener) => call.onEnd(listener),
    pause: () => call.pause(),
    resume: () => call.resume(),
    end(trailers) {
      streams.delete(stream);
      call.end(trailers);
    },
    fail(code, message, trailers) {
      streams.delete(stream);
      call.fail(code, message, trailers);
    },
  };
}
