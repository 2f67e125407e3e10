/** Answers a request that is valid HTTP/2 but not gRPC, such as a browser's or a health probe's. */
import { encodeHttpAnswer } from "./answer-blocks.ts";
import type { Connection } from "./connection.ts";
import type { HeaderBlock } from "./hpack-decoder.ts";
import { http2Error } from "./http2-codes.ts";
import { areTrailersValid } from "./request-head.ts";
import type { Stream, StreamHandler } from "./stream.ts";

/** A request body longer than this is not waited for. */
const maxBodyBytes = 65_536;

/** What to answer, and on what. */
export interface PlainHttpParts {
  readonly connection: Connection;
  readonly stream: Stream;
  readonly status: string;
  readonly text: string;
  /** Announced length of the request's body; −1 without one. */
  readonly contentLength: number;
}

/** Drops the request's body and answers with a status and a line of text. */
export function answerPlainHttp(parts: PlainHttpParts): StreamHandler {
  const { connection, stream } = parts;
  let received = 0;
  const answer = (): void => {
    connection.sendHeaders(stream, encodeHttpAnswer(parts.status), { endStream: false });
    connection.sendMessage(stream, [Buffer.from(parts.text)], "endStream");
  };
  return {
    streamHeaders: (block: HeaderBlock, endStream: boolean) => {
      if (!endStream || !areTrailersValid(block)) connection.reset(stream, http2Error.protocolError);
    },
    streamData: (bytes) => {
      received += bytes.length;
      if (received > maxBodyBytes) answer();
    },
    streamEnd: () => {
      const wrong = parts.contentLength >= 0 && parts.contentLength !== received;
      if (wrong) connection.reset(stream, http2Error.protocolError);
      else answer();
    },
    streamReset: () => {},
    streamDrain: () => {},
    streamGone: () => {},
  };
}
