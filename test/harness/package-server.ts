/** An HTTP server of files for tests, which can cut, stall and lie. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A file, and what goes wrong with it. */
export interface ServedFile {
  /** Read at each request. */
  bytes: Uint8Array;
  /** Default: of the content's length. Empty: none. */
  etag?: string;
  /** Default `application/octet-stream`. */
  type?: string;
  status?: number;
  headers?: Readonly<Record<string, string>>;
  /** Bytes after which the connection is cut, in each answer. */
  cutAfter?: number;
  /** Bytes after which nothing more comes, in each answer. */
  stallAfter?: number;
  /** Length that is announced. */
  announced?: number;
  /** Ranges are not understood. */
  noRanges?: boolean;
  /** Sent in chunks, without a length. */
  chunked?: boolean;
}

/** A request that came. */
export interface AskedFor {
  readonly path: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

/** The server. */
export interface PackageServer {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly files: Map<string, ServedFile>;
  readonly asked: AskedFor[];
  /** Downloads that are being answered now. */
  readonly open: () => number;
}

/** Starts one that ends with the test. */
export async function startPackageServer(test: Pick<TestContext, "after">): Promise<PackageServer> {
  const files = new Map<string, ServedFile>();
  const asked: AskedFor[] = [];
  let open = 0;
  const server = createServer((request, response) => {
    const path = (request.url ?? "").replace(/\?.*/, "");
    const { range, "if-range": ifRange, "if-none-match": ifNoneMatch } = request.headers;
    asked.push({ path, range, ifRange: String(ifRange ?? ""), ifNoneMatch });
    open++;
    response.on("close", () => open--);
    const file = files.get(path);
    if (file === undefined) response.writeHead(404).end("no such file");
    else answer(file, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, files, asked, open: () => open };
}

function answer(file: ServedFile, { headers }: IncomingMessage, response: ServerResponse): void {
  const { bytes, type = "application/octet-stream", etag = `"${bytes.byteLength}"` } = file;
  const about: Record<string, string> = { "content-type": type, ...file.headers };
  if (etag !== "") about["etag"] = etag;
  if (headers["if-none-match"] === etag && etag !== "") return void response.writeHead(304, about).end();
  const from = file.noRanges === true ? undefined : startOf(headers, etag);
  if (from !== undefined && from >= bytes.byteLength) return void response.writeHead(416, about).end();
  const body = bytes.subarray(from ?? 0);
  if (file.chunked !== true) about["content-length"] = String(file.announced ?? body.byteLength);
  if (from !== undefined)
    about["content-range"] = `bytes ${from}-${bytes.byteLength - 1}/${file.announced ?? bytes.byteLength}`;
  response.writeHead(file.status ?? (from === undefined ? 200 : 206), about);
  const { cutAfter, stallAfter } = file;
  if (cutAfter !== undefined && cutAfter < body.byteLength)
    return void response.write(body.subarray(0, cutAfter), () => response.destroy());
  if (stallAfter !== undefined) return void response.write(body.subarray(0, stallAfter));
  response.end(body);
}

function startOf(headers: IncomingMessage["headers"], etag: string): number | undefined {
  const found = /^bytes=(\d+)-$/.exec(headers.range ?? "");
  const condition = headers["if-range"];
  if (found === null || (condition !== undefined && condition !== etag)) return undefined;
  return Number(found[1]);
}
