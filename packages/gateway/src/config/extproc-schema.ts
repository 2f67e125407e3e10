/** `extProc` of `spillway.yaml`: the door for Envoy. */
import { resolve } from "node:path";
import * as z from "zod";
import type { ExtProcOptions } from "../contracts/options.ts";
import { tlsSchema } from "./tls-schema.ts";
import { bindAddress, duration, falseOr, port, whole, wordOr, yesNo } from "./values.ts";
import { parseDuration } from "./units.ts";

/** What the door is told. */
export const extProcSchema = z.strictObject({
  port: port.default(9_002).describe("TCP port that Envoy asks; 0 takes any that is free"),
  healthPort: falseOr("a port", port)
    .default(9_003)
    .describe("TCP port of gRPC health checks, in plain text; `false`: they are answered on `port` only"),
  host: bindAddress.default("127.0.0.1").describe("Address to bind, of both ports"),
  tls: wordOr(
    "none",
    "self-signed or a mapping with cert and key",
    wordOr("self-signed", "none or a mapping with cert and key", tlsSchema),
  )
    .default("self-signed")
    .describe(
      "`self-signed`: a certificate made at the start, which gateways take unchecked. `none`: plain text. A pair of files is watched, as that of `listen`",
    ),
  drainTimeout: duration("0s", "1h")
    .default("30s")
    .describe("How long requests and their answers may go on when the gateway ends"),
  subsets: yesNo
    .default(true)
    .describe("Envoy's list of endpoints that may be chosen counts; `false`: it is not looked at"),
  scores: yesNo.default(false).describe("Tell Envoy what each endpoint scored, in the dynamic metadata"),
  maxStreams: whole(1, 1_000_000)
    .default(40_000)
    .describe("Requests of one connection at once; more wait at Envoy"),
  maxHeaders: whole(10, 10_000).default(500).describe("Headers of one request, or of its answer"),
});

/** `extProc` with every default filled in. */
export type DefaultedExtProc = z.output<typeof extProcSchema>;

/** Compiles it; `bounds` are those of all listeners. */
export function compileExtProc(
  door: DefaultedExtProc,
  bounds: Pick<ExtProcOptions, "maxConnections" | "maxBodyBytes" | "maxTotalBodyBytes">,
  directory: string,
): ExtProcOptions {
  const { host, tls, subsets, scores, maxStreams, maxHeaders } = door;
  return {
    host,
    port: door.port,
    healthPort: door.healthPort === false ? undefined : door.healthPort,
    tls:
      typeof tls === "string"
        ? tls
        : { cert: resolve(directory, tls.cert), key: resolve(directory, tls.key) },
    drainMs: parseDuration(door.drainTimeout) ?? 0,
    maxStreams,
    maxHeaders,
    subsets,
    scores,
    ...bounds,
  } satisfies ExtProcOptions;
}
