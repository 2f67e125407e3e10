/** What Envoy sends over ext_proc for one chat, as turns of a stream: head and body, then the answer piece by piece. */
import { fieldBytes, fieldString, fieldVarints } from "./protobuf-writer.ts";
import { seededRandom } from "./random.ts";

/** A chat as Envoy tells it, with eight headers; `variants` differ in their prompts. */
export interface ExtProcBodySpec {
  readonly kind: "ext-proc";
  readonly model: string;
  /** Bytes of the request's body. */
  readonly bodyBytes: number;
  /** Pieces of a streamed answer. Absent: the stream ends when the request has its server. */
  readonly answerPieces?: number;
  readonly seed: number;
  /** Default 1. */
  readonly variants?: number;
}

/** Bytes that are sent at once, and how many messages of the server are waited for before the next turn. */
export interface Turn {
  /** gRPC messages with their prefixes. */
  readonly bytes: Buffer;
  readonly replies: number;
}

/** Pieces in which Envoy sends a body. */
const pieceBytes = 65_536;
/** Pieces in which the picker gives it back. */
const sliceBytes = 62_000;

/** The turns of each variant. The last is empty: the client closes its side. */
export function buildExtProcTurns(spec: ExtProcBodySpec): Turn[][] {
  return Array.from({ length: spec.variants ?? 1 }, (_, index) => [
    requestTurn(chatBody(spec, spec.seed + index)),
    ...answerTurns(spec.answerPieces),
    { bytes: Buffer.alloc(0), replies: 0 },
  ]);
}

/** Words from a seed up to the wished length. */
function chatBody({ model, bodyBytes }: ExtProcBodySpec, seed: number): Buffer {
  const random = seededRandom(seed);
  const body = (content: string): string =>
    JSON.stringify({ model, messages: [{ role: "user", content }], max_tokens: 64, stream: true });
  const room = bodyBytes - body("").length;
  let content = "";
  while (content.length < room) content += `${random().toString(36).slice(2, 8)} `;
  return Buffer.from(body(content.slice(0, Math.max(0, room))));
}

function requestTurn(body: Buffer): Turn {
  const headers = headerMap({
    ":authority": "models.example",
    ":method": "POST",
    ":path": "/v1/chat/completions",
    ":scheme": "https",
    "content-type": "application/json",
    "user-agent": "bench",
    "x-forwarded-for": "10.1.2.3",
    "x-request-id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
  });
  const modes = fieldBytes(11, Buffer.concat([varint(1, 4), varint(2, 4)]));
  const messages: Buffer[] = [Buffer.concat([fieldBytes(2, fieldBytes(1, headers)), modes])];
  for (let at = 0; at < body.length; at += pieceBytes) {
    const isLast = at + pieceBytes >= body.length;
    messages.push(fieldBytes(4, piece(body.subarray(at, at + pieceBytes), isLast)));
  }
  // The bodies ask for usage, which makes them longer than they came.
  const slices = Math.ceil((body.length + usageBytes) / sliceBytes);
  return { bytes: Buffer.concat(messages.map(prefixed)), replies: 1 + slices };
}

/** What the picker adds to a streamed chat, so that it is told what was used. */
const usageBytes = '"stream_options":{"include_usage":true},'.length;

function answerTurns(pieces: number | undefined): Turn[] {
  if (pieces === undefined) return [];
  const head = headerMap({ ":status": "200", "content-type": "text/event-stream", server: "bench" });
  const turns = [{ bytes: prefixed(fieldBytes(3, fieldBytes(1, head))), replies: 1 }];
  for (let i = 0; i < pieces; i += 1) {
    const isLast = i === pieces - 1;
    const event = `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", model: "bench", choices: [{ index: 0, delta: { content: `word${i} ` } }] })}\n\n`;
    const text = isLast ? `${event}data: [DONE]\n\n` : event;
    turns.push({ bytes: prefixed(fieldBytes(5, piece(Buffer.from(text), isLast))), replies: 1 });
  }
  return turns;
}

/** An `HttpBody`. */
function piece(bytes: Uint8Array, last: boolean): Buffer {
  return Buffer.concat([fieldBytes(1, bytes), ...(last ? [varint(2, 1)] : [])]);
}

function headerMap(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(headers).map(([name, value]) =>
      fieldBytes(1, Buffer.concat([fieldString(1, name), fieldBytes(3, Buffer.from(value))])),
    ),
  );
}

/** A number field. */
function varint(field: number, value: number): Buffer {
  const packed = fieldVarints(field, [value]);
  // The same number with another wire type, and without the length of a packed list.
  return Buffer.concat([Buffer.of(field * 8), packed.subarray(2)]);
}

function prefixed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
