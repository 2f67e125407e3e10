/** What a client is told that does not speak HTTP, or too slowly. */
import { writePlainFailure } from "../../contracts/plain-failure.ts";
import { errorTable, failure, type Failure } from "../../core/errors.ts";

/** A failure and the status it is answered with. */
export interface MalformedReason {
  readonly failure: Failure;
  readonly status: number;
}

/** Header fields that are too large have a status of their own (RFC 6585, 5), which no other failure has. */
const headersTooLarge = 431;

/** Reads Node's error; undefined when the client has simply left. */
export function malformedReason({ code = "", message }: NodeJS.ErrnoException): MalformedReason | undefined {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return reasonOf(failure("request_timeout"));
    case "HPE_HEADER_OVERFLOW":
      return reasonOf(failure("bad_request", "The headers are larger than 32 KiB"), headersTooLarge);
    case "HPE_PAUSED_H2_UPGRADE":
      return reasonOf(failure("bad_request", "This port speaks HTTP/1.1; gRPC has a port of its own"));
    default:
      if (!code.startsWith("HPE_") || code === "HPE_INVALID_EOF_STATE") return undefined;
      return reasonOf(failure("bad_request", `This is not HTTP/1.1: ${message}`));
  }
}

function reasonOf(reason: Failure, status: number = errorTable[reason.code].http): MalformedReason {
  return { failure: reason, status };
}

/** The whole answer as it goes on the wire, for a connection on which no answer can be framed by Node. */
export function rawFailure({ failure: reason, status }: MalformedReason, requestId: string): Buffer {
  const body = Buffer.concat(writePlainFailure(reason).body);
  const lines = [
    `HTTP/1.1 ${status} ${errorTable[reason.code].text}`,
    `x-request-id: ${requestId}`,
    "content-type: application/json",
    `content-length: ${body.length}`,
    "connection: close",
  ];
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body]);
}
