/** Sends recorded HTTP requests over a socket, byte for byte, one after another. */
import { connect, type Socket } from "node:net";

/** An answer as it came. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Splits a recording into its requests, each a head and as many bytes as its Content-Length says. */
export function splitRequests(recording: Buffer): Buffer[] {
  const requests: Buffer[] = [];
  for (let start = 0; start < recording.length;) {
    const end = messageEnd(recording, start);
    if (end === undefined) throw new Error(`the recording ends inside a request at byte ${start}`);
    requests.push(recording.subarray(start, end));
    start = end;
  }
  return requests;
}

/** Where the message that starts at `start` ends; undefined while it is incomplete. */
function messageEnd(bytes: Buffer, start: number): number | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n", start);
  if (headEnd < 0) return undefined;
  const end = headEnd + 4 + Number(headersOf(bytes.subarray(start, headEnd)).get("content-length") ?? 0);
  return end <= bytes.length ? end : undefined;
}

function headersOf(head: Buffer): Map<string, string> {
  const lines = head.toString("latin1").split("\r\n").slice(1);
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}

/** Sends the requests over one connection, each when the one before is answered. */
export async function replayRequests(port: number, requests: readonly Buffer[]): Promise<RawAnswer[]> {
  const socket = connect({ port, host: "127.0.0.1" });
  try {
    const answers: RawAnswer[] = [];
    for (const request of requests) answers.push(await exchange(socket, request));
    return answers;
  } finally {
    socket.destroy();
  }
}

function exchange(socket: Socket, request: Buffer): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (messageEnd(received, 0) === undefined) return;
      socket.off("data", onData).off("error", reject).off("close", onClose);
      resolve(toAnswer(received));
    };
    const onClose = (): void => reject(new Error("the connection closed before the answer"));
    socket.on("data", onData).on("error", reject).on("close", onClose);
    socket.write(request);
  });
}

function toAnswer(message: Buffer): RawAnswer {
  const headEnd = message.indexOf("\r\n\r\n");
  const head = message.subarray(0, headEnd);
  return {
    status: Number(head.subarray(9, 12).toString("latin1")),
    headers: headersOf(head),
    body: message.subarray(headEnd + 4),
  };
}
