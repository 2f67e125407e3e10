/** A registry of models on this machine, as far as Ollama pulls from it and pushes to it. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A running registry. */
export interface Registry {
  /** `localhost:port`. */
  readonly host: string;
  close(): void;
}

/**
 * Takes every manifest and blob that is pushed, and gives it back.
 * Protocol: https://github.com/opencontainers/distribution-spec/blob/main/spec.md.
 */
export async function startRegistry(port = 0): Promise<Registry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer>();
  const server = createServer((asked, answer) => void handle(asked, answer, blobs, manifests));
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const { port: bound } = server.address() as AddressInfo;
  return {
    host: `localhost:${bound}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function handle(
  asked: IncomingMessage,
  answer: ServerResponse,
  blobs: Map<string, Buffer>,
  manifests: Map<string, Buffer>,
): Promise<void> {
  const body = await buffer(asked);
  const { pathname, searchParams, host } = new URL(asked.url ?? "/", `http://${asked.headers.host}`);
  const [, kind = "", name = ""] = /^\/v2\/.+\/(manifests|blobs|uploads)\/(.*)$/.exec(pathname) ?? [];
  if (asked.method === "POST") {
    return void answer.writeHead(202, { location: `http://${host}${pathname.replace(/\/$/, "")}/1` }).end();
  }
  if (asked.method === "PATCH") {
    pending = Buffer.concat([pending, body]);
    return void answer.writeHead(202, { location: `http://${host}${pathname}` }).end();
  }
  if (asked.method === "PUT") {
    if (kind === "manifests") manifests.set(pathname, body);
    else {
      const whole = Buffer.concat([pending, body]);
      pending = Buffer.alloc(0);
      blobs.set(
        searchParams.get("digest") ?? `sha256:${createHash("sha256").update(whole).digest("hex")}`,
        whole,
      );
    }
    return void answer.writeHead(201).end();
  }
  // Ollama reads blobs from where it is sent to only, on another host.
  if (kind === "blobs" && asked.method === "GET" && host.startsWith("localhost") && blobs.has(name)) {
    const elsewhere = `http://${host.replace("localhost", "127.0.0.1")}${pathname}`;
    return void answer.writeHead(307, { location: elsewhere }).end();
  }
  const found = kind === "manifests" ? manifests.get(pathname) : blobs.get(name);
  if (found === undefined) return void answer.writeHead(404).end();
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(asked.headers.range ?? "") ?? [];
  const part = first === undefined ? found : found.subarray(Number(first), Number(last) + 1);
  answer.writeHead(first === undefined ? 200 : 206, { "content-length": part.length });
  answer.end(asked.method === "HEAD" ? undefined : part);
}

/** Pieces of the one upload that runs. */
let pending: Buffer = Buffer.alloc(0);
