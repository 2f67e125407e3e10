/** An HTTP/1.1 client on a bare socket: sends exactly the bytes it is told to, and reads answers one by one. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** An answer as it came. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of repeated names the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const headEnd = "\r\n\r\n";

/** One connection. */
export class RawHttpClient {
  readonly socket: Socket;
  /** Resolves when the server has ended or cut the connection. */
  readonly ended: Promise<void>;
  #pieces: Buffer[] = [];
  #length = 0;
  #isEnded = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#pieces.push(chunk);
      this.#length += chunk.length;
      this.#wake();
    });
    socket.on("error", () => {});
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#isEnded = true;
        this.#wake();
        resolve();
      };
      socket.on("end", end);
      socket.on("close", end);
    });
  }

  /** Connects to loopback. */
  static async open(port: number, localAddress = "127.0.0.1"): Promise<RawHttpClient> {
    const socket = connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
    await once(socket, "connect");
    return new RawHttpClient(socket);
  }

  /** Bytes that have arrived and belong to no answer read so far. */
  get rest(): Buffer {
    const [only] = this.#pieces;
    const joined = this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces);
    this.#pieces = [joined];
    return joined;
  }

  write(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Sends a request with Host and, for a body, Content-Length. */
  send(method: string, path: string, options: SendOptions = {}): void {
    const { headers = {}, body } = options;
    const lines = [`${method} ${path} HTTP/1.1`, `host: ${options.host ?? "localhost"}`];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    const bytes = body === undefined ? undefined : Buffer.from(body);
    if (bytes !== undefined) lines.push(`content-length: ${bytes.length}`);
    this.write(`${lines.join("\r\n")}${headEnd}`);
    if (bytes !== undefined) this.write(bytes);
  }

  /** The next answer, whole. `head` answers have no body. Rejects when the connection ends before. */
  async answer(kind: "any" | "head" = "any"): Promise<RawAnswer> {
    const { status, headers } = await this.head();
    if (kind === "head" || status < 200 || status === 204 || status === 304) {
      return { status, headers, body: Buffer.alloc(0) };
    }
    if (headers["transfer-encoding"] === "chunked") return { status, headers, body: await this.#chunked() };
    return { status, headers, body: await this.#take(Number(headers["content-length"])) };
  }

  /** The head of the next answer alone. */
  async head(): Promise<Omit<RawAnswer, "body">> {
    const head = (await this.#until(headEnd)).toString("latin1");
    const [first = "", ...lines] = head.trimEnd().split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    return { status: Number(first.split(" ")[1]), headers };
  }

  /** The next piece of a chunked answer; empty for the last. */
  async chunk(): Promise<Buffer> {
    const size = Number.parseInt((await this.#until("\r\n")).toString("latin1"), 16);
    const chunk = await this.#take(size);
    await this.#take(2);
    return chunk;
  }

  /** Leaves in good order (FIN). */
  leave(): void {
    this.socket.destroy();
  }

  /** Leaves by a reset (RST). */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async #chunked(): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let piece = await this.chunk(); piece.length > 0; piece = await this.chunk()) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async #until(mark: string): Promise<Buffer> {
    for (;;) {
      const at = this.rest.indexOf(mark);
      if (at >= 0) return this.#take(at + mark.length);
      await this.#more();
    }
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#length < length) await this.#more();
    const { rest } = this;
    this.#pieces = [rest.subarray(length)];
    this.#length -= length;
    return rest.subarray(0, length);
  }

  #more(): Promise<void> {
    if (this.#isEnded) {
      const got = this.rest.toString("latin1", 0, 200);
      return Promise.reject(new Error(`the connection ended in the middle of an answer, after "${got}"`));
    }
    return new Promise((resolve) => (this.#wake = resolve));
  }
}

/** Parts of a request. */
export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly host?: string;
}
