/** A body that is streamed to a server, as undici takes it. */
import { Readable } from "node:stream";
import type { BodyStream } from "../../contracts/body-stream.ts";

/** Bytes that are held between the client's connection and the server's. */
const highWaterMark = 262_144;

/** Reads the body once it is wanted, and pauses it while the server takes no more. */
export function readableFrom(body: BodyStream): Readable {
  let hasBegun = false;
  return new Readable({
    highWaterMark,
    read() {
      if (hasBegun) return body.resume();
      hasBegun = true;
      body.read({
        data: (piece) => {
          if (!this.push(piece)) body.pause();
        },
        end: () => void this.push(null),
      });
    },
  });
}
