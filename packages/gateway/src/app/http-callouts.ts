/** Services that rules ask, over the connections that servers are asked over. */
import type {
  ConnectionFactory,
  ServerAccess,
  ServerCall,
  ServerConnection,
  ServerError,
  ServerHandler,
} from "../contracts/connection.ts";
import type {
  CalloutAnswer,
  CalloutFactory,
  CalloutRequest,
  CalloutTarget,
  HttpCallout,
} from "../contracts/http-callout.ts";
import { failure, GatewayError, type Failure } from "../core/errors.ts";
import type { HeaderList, HeaderMap } from "../core/headers.ts";

/** Callouts, and their end. */
export interface HttpCallouts {
  readonly create: CalloutFactory;
  /** Closes what is idle. */
  close(): void;
}

/** Makes the factory. */
export function createHttpCallouts(connect: ConnectionFactory): HttpCallouts {
  const connections: ServerConnection[] = [];
  return {
    create(target) {
      const { access, path } = accessTo(target);
      const connection = connect(access);
      connections.push(connection);
      return new Callout(connection, path, target.concurrency);
    },
    close() {
      for (const connection of connections) connection.close();
    },
  };
}

function accessTo({ url, headers, connectTimeoutMs }: CalloutTarget): {
  readonly access: ServerAccess;
  readonly path: string;
} {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.hash !== "") {
    throw new GatewayError("bad_request", `url: expected an address such as http://host:8080/path`);
  }
  const access: ServerAccess = {
    origin: parsed.origin,
    basePath: "",
    address: undefined,
    socketPath: undefined,
    headers,
    ca: undefined,
    serverName: undefined,
    connectTimeoutMs,
  };
  return { access, path: parsed.pathname + parsed.search };
}

const callHeaders: HeaderList = [
  ["content-type", "application/json"],
  ["accept", "application/json"],
];

class Callout implements HttpCallout {
  readonly #connection: ServerConnection;
  readonly #path: string;
  readonly #concurrency: number;
  #running = 0;

  constructor(connection: ServerConnection, path: string, concurrency: number) {
    this.#connection = connection;
    this.#path = path;
    this.#concurrency = concurrency;
  }

  post(request: CalloutRequest): Promise<CalloutAnswer | Failure> {
    if (this.#running >= this.#concurrency) {
      return Promise.resolve(failure("overloaded", `${this.#running} calls are under way already`, 1_000));
    }
    this.#running++;
    return new Promise((resolve) => {
      const run = new CalloutRun(this.#connection, { ...request, path: this.#path }, (result) => {
        this.#running--;
        resolve(result);
      });
      run.start();
    });
  }
}

type Done = (result: CalloutAnswer | Failure) => void;

/** One call and its answer. */
class CalloutRun implements ServerHandler {
  readonly #connection: ServerConnection;
  readonly #request: CalloutRequest & { readonly path: string };
  readonly #done: Done;
  #call: ServerCall | undefined;
  #isSecond = false;
  #isOver = false;
  #status = 0;
  #headers: HeaderMap = {};
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(connection: ServerConnection, request: CalloutRequest & { readonly path: string }, done: Done) {
    this.#connection = connection;
    this.#request = request;
    this.#done = done;
  }

  start(): void {
    const { path, body, cancellation } = this.#request;
    const request = { method: "POST", path, headers: callHeaders, body } as const;
    this.#call = this.#connection.send({ ...request, needsNewConnection: this.#isSecond }, this);
    if (!this.#isOver) cancellation.listen(() => this.#stop(failure("client_gone")));
  }

  head(status: number, headers: HeaderMap): void {
    this.#status = status;
    this.#headers = headers;
  }

  data(chunk: Uint8Array): void {
    const { maxAnswerBytes } = this.#request;
    this.#bytes += chunk.length;
    this.#pieces.push(chunk);
    if (this.#bytes <= maxAnswerBytes) return;
    this.#stop(failure("bad_upstream_answer", `The answer has more than ${maxAnswerBytes} bytes`));
  }

  end(): void {
    const [only] = this.#pieces;
    const body = this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces);
    this.#end({ status: this.#status, headers: this.#headers, body });
  }

  /** A kept connection may be closed by the service just as it is used: then once more, over a new one. */
  failed({ kind, message }: ServerError): void {
    if (kind === "closed" && this.#status === 0 && !this.#isSecond) {
      this.#isSecond = true;
      return this.start();
    }
    const code = kind === "malformed" ? "bad_upstream_answer" : "upstream_unreachable";
    this.#end(failure(code, message));
  }

  #stop(reason: Failure): void {
    this.#call?.cancel();
    this.#end(reason);
  }

  #end(result: CalloutAnswer | Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pieces = [];
    this.#request.cancellation.listen(undefined);
    this.#done(result);
  }
}
