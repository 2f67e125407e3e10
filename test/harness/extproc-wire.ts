/** Messages of ext_proc as a client of another make sees them: @grpc/grpc-js with the file of proto/. */
import path from "node:path";
import { Client, credentials, type ClientDuplexStream, type MethodDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const definitions = loadSync("ext_proc.proto", {
  includeDirs: [path.join(import.meta.dirname, "../../proto")],
  keepCase: true,
  enums: String,
  oneofs: true,
});

/** Changes of headers. */
export interface WireMutation {
  readonly set_headers?: readonly {
    readonly header: { readonly key: string; readonly value?: string; readonly raw_value?: Buffer };
    readonly append_action?: string;
  }[];
  readonly remove_headers?: readonly string[];
}

/** `CommonResponse`. */
export interface WireCommon {
  readonly header_mutation?: WireMutation;
  readonly body_mutation?: {
    readonly body?: Buffer;
    readonly clear_body?: boolean;
    readonly streamed_response?: { readonly body?: Buffer; readonly end_of_stream?: boolean };
  };
  readonly clear_route_cache?: boolean;
}

/** `ProcessingResponse`. */
export interface EnvoyReply {
  readonly response: string;
  readonly request_headers?: { readonly response?: WireCommon };
  readonly response_headers?: { readonly response?: WireCommon };
  readonly request_body?: { readonly response?: WireCommon };
  readonly response_body?: { readonly response?: WireCommon };
  readonly immediate_response?: {
    readonly status?: { readonly code?: number };
    readonly headers?: WireMutation;
    readonly body?: Buffer;
    readonly details?: string;
  };
  readonly dynamic_metadata?: { readonly fields?: Readonly<Record<string, WireValue>> };
}

/** A value of `Struct`. */
export interface WireValue {
  readonly stringValue?: string;
  readonly numberValue?: number;
  readonly structValue?: { readonly fields?: Readonly<Record<string, WireValue>> };
}

/** One open stream. */
export type ProcessCall = ClientDuplexStream<object, object>;

/** A connection to a picker. `tls`: its certificate is not checked, as gateways do. */
export function connectExtProc(address: string, tls = false): Client {
  const channel = tls
    ? credentials.createSsl(null, null, null, { rejectUnauthorized: false })
    : credentials.createInsecure();
  return new Client(address, channel, {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
}

const service = definitions["envoy.service.ext_proc.v3.ExternalProcessor"] as unknown as Readonly<
  Record<string, MethodDefinition<object, object>>
>;

/** Opens a stream. `bytes`: what is written is serialized already. */
export function openProcess(client: Client, writes: "messages" | "bytes" = "messages"): ProcessCall {
  const method = service["Process"];
  if (method === undefined) throw new TypeError("proto/ext_proc.proto has no Process");
  const serialize = writes === "bytes" ? (bytes: object) => bytes as Buffer : method.requestSerialize;
  return client.makeBidiStreamRequest(method.path, serialize, method.responseDeserialize);
}

/** A `Struct` of texts, and of lists of texts. */
export function struct(values: Readonly<Record<string, string | readonly string[]>>): object {
  const fields = Object.entries(values).map(([key, value]) => {
    if (typeof value === "string") return [key, { stringValue: value }];
    return [key, { listValue: { values: value.map((each) => ({ stringValue: each })) } }];
  });
  return { fields: Object.fromEntries(fields) as object };
}

/** The headers as Envoy sends them: values as raw bytes. */
export function headerMap(headers: readonly (readonly [string, string])[]): object {
  return { headers: headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) };
}

/** Applies changes to headers, in order; names are unique afterwards where they were set. */
export function applyMutation(
  headers: readonly (readonly [string, string])[],
  { set_headers = [], remove_headers = [] }: WireMutation,
): (readonly [string, string])[] {
  let list = headers.filter(([name]) => !remove_headers.includes(name));
  for (const { header, append_action: action } of set_headers) {
    const value = header.raw_value?.toString() ?? header.value ?? "";
    if (action === "OVERWRITE_IF_EXISTS_OR_ADD") list = list.filter(([name]) => name !== header.key);
    list = [...list, [header.key, value]];
  }
  return list;
}
