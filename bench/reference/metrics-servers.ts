/**
 * Reference servers: many model servers as far as their metrics go, on ports of one process. Each page is a whole one of
 * vLLM's, written once and sent as it is, so that the servers cost next to nothing; what they tell changes with each page.
 * Arguments: how many, and the file that the ports are written to.
 */
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { fullPage } from "@spillway/simulator";
import { serveReference } from "./serve-reference.ts";

const [count = "1", portsFile = ""] = process.argv.slice(2);

/** Pages that are sent in turn. */
const VARIANTS = 16;

const pages = Array.from({ length: VARIANTS }, (_, turn) => {
  const body = fullPage({
    waiting: turn % 5,
    running: 8 + turn,
    kvUsage: 0.3 + turn / 64,
    adapters: ["sql"],
  });
  const head = `HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.from(head + body);
});
const models = JSON.stringify({ object: "list", data: [{ id: "m", object: "model", owned_by: "bench" }] });
const list = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${models.length}\r\n\r\n${models}`,
);

let turn = 0;

function answer(socket: Socket, request: string): void {
  if (request.startsWith("GET /metrics ")) socket.write(pages[turn++ % VARIANTS] ?? list);
  else if (request.startsWith("GET /v1/models ")) socket.write(list);
  else if (request !== "") socket.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
}

function listen(): Promise<Server> {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    // Requests here are short and come whole.
    socket.on("data", (bytes) => {
      for (const request of bytes.toString("latin1").split("\r\n\r\n")) answer(socket, request);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const servers = await Promise.all(Array.from({ length: Number(count) }, listen));
const ports = servers.map((server) => (server.address() as AddressInfo).port);
writeFileSync(portsFile, JSON.stringify(ports));
console.error(`${count} servers, pages of ${pages[0]?.length} bytes`);

const { createServer: createHttpServer } = await import("node:http");
// Where the harness asks, and what keeps the process alive.
serveReference(createHttpServer((_request, response) => response.end()));
