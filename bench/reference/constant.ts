/** Reference server: `node:http` answering a constant JSON object to everything. The ceiling of any Node server. */
import { createServer } from "node:http";
import { serveReference } from "./serve-reference.ts";

const ANSWER = Buffer.from('{"status":"ok"}');

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "application/json", "content-length": ANSWER.length });
  response.end(ANSWER);
});

serveReference(server);
