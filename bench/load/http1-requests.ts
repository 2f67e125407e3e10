/** HTTP/1.1 requests as finished bytes, so that sending one costs a write and nothing else. */
import { buildBodies } from "./bodies.ts";
import type { RequestSpec } from "./load-spec.ts";

/** A request ready to send. */
export interface Http1Request {
  readonly bytes: Buffer;
  /** `HEAD`: the answer announces a body that does not come. */
  readonly bodiless: boolean;
}

/** Prepares every request, and every variant of its body, in order. `host` is the Host header. */
export function buildHttp1Requests(
  specs: readonly RequestSpec[],
  options: { readonly host: string },
): Http1Request[] {
  return specs.flatMap((spec) => {
    const bodies = spec.body === undefined ? [undefined] : buildBodies(spec.body);
    return bodies.map((body) => {
      const method = spec.method ?? "POST";
      const headers = {
        Host: options.host,
        ...body?.headers,
        ...spec.headers,
        ...(body === undefined ? {} : { "Content-Length": String(body.bytes.length) }),
      };
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      const head = Buffer.from(`${method} ${spec.path} HTTP/1.1\r\n${lines.join("")}\r\n`, "latin1");
      return {
        bytes: body === undefined ? head : Buffer.concat([head, body.bytes]),
        bodiless: method === "HEAD",
      };
    });
  });
}
