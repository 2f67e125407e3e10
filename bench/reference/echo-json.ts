/** Reference server: bare `node:http` that parses a JSON body and answers the same, written anew. No model, no checks. */
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { serveReference } from "./serve-reference.ts";

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => answer(request, response, chunks));
});

serveReference(server);

function answer(_request: IncomingMessage, response: ServerResponse, chunks: readonly Buffer[]): void {
  try {
    const body = Buffer.from(JSON.stringify(JSON.parse(joined(chunks).toString())));
    response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
    response.end(body);
  } catch (error) {
    response.writeHead(400, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: String(error) }));
  }
}

/** Small bodies come in one piece, which then is not copied. */
function joined(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
}
