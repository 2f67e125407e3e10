/**
 * Stands between a client and a gateway and writes down what the client says, scrubbed, until it is ended:
 * `node scripts/run.mjs test/harness/client-recording/record.ts PORT GATEWAY_PORT FILE.json`.
 */
import { writeFileSync } from "node:fs";
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { scrub, type RecordedCall } from "./scrub.ts";

const [port = "", gateway = "", file = ""] = process.argv.slice(2);
const calls: RecordedCall[] = [];

async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "", url: path = "", headers } = request;
  const body = await buffer(request);
  const forward = ask({ host: "127.0.0.1", port: gateway, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  forward.on("error", () => response.destroy());
  forward.end(body);
  if (body.length === 0) return;
  const named = Object.entries(headers).map(([name, value]) => [name, String(value)] as const);
  calls.push(
    scrub({ method, path, headers: Object.fromEntries(named), body: JSON.parse(body.toString()) as unknown }),
  );
  writeFileSync(file, `${JSON.stringify(calls, null, 1)}\n`);
}

createServer((request, response) => void pass(request, response)).listen(Number(port), "127.0.0.1");
