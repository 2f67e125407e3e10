/** `grpc.health.v1.Health`: is the server, or a service of it, ready to answer. */
import type { MethodHandler, StreamServerCall } from "@spillway/grpc";
import { grpc } from "@spillway/protocol";
import { isRefusal, refuse } from "../refusal.ts";
import { decodeMessage, unaryMethod } from "./method.ts";

const { HealthCheckRequest, HealthCheckResponse } = grpc.health.v1;
const { ServingStatus } = HealthCheckResponse;

/** Streams of one server that wait for changes at most. */
const maxWatches = 256;

/** What health depends on. */
export interface HealthSource {
  /** True when requests of the service would be answered; the empty name is the whole server. */
  isServing(service: string): boolean;
  /** True when the server waits for nothing but those who watch: they are let go. Absent: never. */
  isOver?(): boolean;
  /** Calls back after each possible change, of `isOver` too; returns how to stop. */
  onChange(listener: () => void): () => void;
}

function encode(status: number): Uint8Array {
  return HealthCheckResponse.encode({ status }).finish();
}

/** `Check`. A service that is not in `services` is NOT_FOUND; the empty name is the whole server. */
export function healthCheck(source: HealthSource, services: ReadonlySet<string>): MethodHandler {
  return unaryMethod(HealthCheckRequest, ({ service }) => {
    if (service !== "" && !services.has(service)) return refuse("notFound", `unknown service "${service}"`);
    return [encode(source.isServing(service) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING)];
  });
}

/** `Watch`: the state at once and after each change of it, until the caller leaves or the server is over. */
export function healthWatch(source: HealthSource, services: ReadonlySet<string>): MethodHandler {
  let open = 0;
  const start = (call: StreamServerCall, message: Uint8Array): void => {
    const request = decodeMessage(HealthCheckRequest, message);
    if (isRefusal(request)) return call.fail(request.code, request.message);
    if (open >= maxWatches)
      return call.fail(refuse("exhausted", "").code, `at most ${maxWatches} watches at once`);
    open++;
    const { service } = request;
    const known = service === "" || services.has(service);
    let last: number | undefined;
    const report = () => {
      const serving = source.isServing(service) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
      const status = known ? serving : ServingStatus.SERVICE_UNKNOWN;
      if (status !== last) call.send([encode(status)]);
      last = status;
      if (source.isOver?.() !== true) return;
      left();
      call.end();
    };
    const stop = source.onChange(report);
    let isOpen = true;
    const left = () => {
      if (isOpen) open--;
      isOpen = false;
      stop();
    };
    call.onCancel(left);
    report();
  };
  return {
    kind: "stream",
    handle(call) {
      let started = false;
      call.onMessage((message) => {
        if (!started) start(call, message);
        started = true;
      });
    },
  };
}
