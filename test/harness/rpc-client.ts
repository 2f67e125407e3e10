/** A gRPC client of another make: @grpc/grpc-js with the files of proto/, as a user of the gateway would have it. */
import path from "node:path";
import { Client, credentials, Metadata, type MethodDefinition, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const protoFolder = path.join(import.meta.dirname, "../../proto");

const definitions = loadSync(
  ["inference.proto", "kserve.proto", "health.proto", "reflection.proto", "reflection-v1alpha.proto"],
  { includeDirs: [protoFolder], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true },
);

/** A decoded message; field names as in the files. */
export type Message = Readonly<Record<string, unknown>>;

/** How a call ended. */
export type RpcAnswer =
  | { readonly code: 0; readonly message: Message; readonly metadata: Metadata }
  | { readonly code: number; readonly details: string; readonly metadata: Metadata };

/** What a call can be told beside its message. */
export interface RpcOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** Default 30,000. */
  readonly timeoutMs?: number;
  /** Aborting it cancels the call. */
  readonly signal?: AbortSignal;
}

/** A client of one address. */
export interface RpcClient {
  /** `service` with its package, such as `inference.ModelInference`; bytes go out as they are. A refused call is an answer too. */
  call(service: string, method: string, message: object, options?: RpcOptions): Promise<RpcAnswer>;
  /** The same; a refusal throws with its text. */
  ask(service: string, method: string, message: object, options?: RpcOptions): Promise<Message>;
  /** Sends messages, closes its side and collects what comes back. Rejects when the stream fails. */
  stream(
    service: string,
    method: string,
    messages: readonly object[],
    options?: Pick<RpcOptions, "metadata">,
  ): Promise<Message[]>;
  /** Asks once and is told again and again, until the client is closed: what `read` makes of each message, as it comes. */
  watch<T>(service: string, method: string, message: object, read: (message: Message) => T): T[];
  close(): void;
}

/** Makes a client; it connects with the first call. */
export function createRpcClient(address: string): RpcClient {
  const unlimited = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
  const client = new Client(address, credentials.createInsecure(), unlimited);
  const call: RpcClient["call"] = (service, method, message, options = {}) =>
    unary(client, methodOf(service, method), message, options);
  return {
    call,
    async ask(service, method, message, options) {
      const answer = await call(service, method, message, options);
      if ("message" in answer) return answer.message;
      throw new Error(`${method}: ${answer.code} ${answer.details}`);
    },
    stream: (service, method, messages, options = {}) =>
      stream(client, methodOf(service, method), { messages, ...options }),
    watch(service, method, message, read) {
      const { path: target, requestSerialize, responseDeserialize } = methodOf(service, method);
      const call = client.makeServerStreamRequest(target, requestSerialize, responseDeserialize, message);
      const received: ReturnType<typeof read>[] = [];
      call.on("data", (each: Message) => received.push(read(each)));
      call.on("error", () => {});
      return received;
    },
    close: () => client.close(),
  };
}

function methodOf(service: string, method: string): MethodDefinition<object, object> {
  const found = (definitions[service] as Record<string, MethodDefinition<object, object>> | undefined)?.[
    method
  ];
  if (found === undefined) throw new TypeError(`no method ${service}/${method} in proto/`);
  return found;
}

function toMetadata(values: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}

function unary(
  client: Client,
  { path: target, requestSerialize, responseDeserialize }: MethodDefinition<object, object>,
  message: object,
  { metadata = {}, timeoutMs = 30_000, signal }: RpcOptions,
): Promise<RpcAnswer> {
  const sent = toMetadata(metadata);
  return new Promise((resolve) => {
    const received = new Metadata();
    let ended: { readonly error: ServiceError | null; readonly answer: object | undefined };
    const call = client.makeUnaryRequest(
      target,
      message instanceof Uint8Array ? (bytes: object) => bytes as Buffer : requestSerialize,
      responseDeserialize,
      message,
      sent,
      { deadline: Date.now() + timeoutMs },
      (error, answer) => (ended = { error, answer }),
    );
    call.on("metadata", (head) => received.merge(head));
    // Comes last, after the callback.
    call.on("status", ({ code, details, metadata: trailers }) => {
      received.merge(trailers);
      const { error, answer } = ended;
      if (error === null) resolve({ code: 0, message: answer as Message, metadata: received });
      else resolve({ code, details, metadata: received });
    });
    signal?.addEventListener("abort", () => call.cancel());
  });
}

function stream(
  client: Client,
  { path: target, requestSerialize, responseDeserialize }: MethodDefinition<object, object>,
  { messages, metadata = {} }: { readonly messages: readonly object[] } & Pick<RpcOptions, "metadata">,
): Promise<Message[]> {
  const options = { deadline: Date.now() + 30_000 };
  const sent = toMetadata(metadata);
  const call = client.makeBidiStreamRequest(target, requestSerialize, responseDeserialize, sent, options);
  const received: Message[] = [];
  return new Promise((resolve, reject) => {
    call.on("data", (message: Message) => received.push(message));
    call.on("error", reject);
    call.on("end", () => resolve(received));
    for (const message of messages) call.write(message);
    call.end();
  });
}
