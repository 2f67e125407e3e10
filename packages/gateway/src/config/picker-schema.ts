/** `picker` of `spillway.yaml`: the door for Envoy, which asks which endpoint takes a request. */
import { resolve } from "node:path";
import * as z from "zod";
import type { ExtProcOptions } from "../contracts/options.ts";
import { tlsSchema } from "./tls-schema.ts";
import { parseDuration } from "./units.ts";
import { bindAddress, choice, duration, expectations, falseOr, port, whole, yesNo } from "./values.ts";

const tls = z
  .union([choice("self-signed", "none"), tlsSchema])
  .register(expectations, { expected: "self-signed, none, or a mapping with cert and key" });

/** The door and its bounds. */
export const pickerSchema = z.strictObject({
  port: port.default(9_002).describe("TCP port of ext_proc; 0 takes any that is free"),
  healthPort: falseOr("a whole number from 0 to 65535", port)
    .default(9_003)
    .describe("TCP port of gRPC health, which `port` answers too; `false`: none of its own"),
  host: bindAddress.default("127.0.0.1").describe("Address to bind, of both ports"),
  tls: tls
    .default("self-signed")
    .describe("`self-signed`: a certificate made at the start. `none`: plain text. Files are watched"),
  drain: duration("0s", "1h").default("30s").describe("How long streams may go on when the gateway stops"),
  maxStreams: whole(1, 1_000_000).default(40_000).describe("Streams of one connection at once"),
  maxConnections: whole(1, 1_000_000).default(10_000).describe("Open connections"),
  maxHeaders: whole(1, 10_000).default(512).describe("Headers of one request, or of its answer"),
  subsets: yesNo
    .default(true)
    .describe("Envoy's list of endpoints that may be chosen (`envoy.lb.subset_hint`) counts"),
  scores: yesNo
    .default(false)
    .describe("Tell Envoy what the endpoints scored, in the metadata of the answer"),
});

/** As the door takes it. */
export function compilePicker(
  picker: z.output<typeof pickerSchema>,
  {
    directory,
    limits,
  }: {
    readonly directory: string;
    readonly limits: Pick<ExtProcOptions, "maxBodyBytes" | "maxTotalBodyBytes">;
  },
): ExtProcOptions {
  const { tls: certificate, healthPort, drain, ...rest } = picker;
  return {
    ...rest,
    ...limits,
    healthPort: healthPort === false ? undefined : healthPort,
    drainMs: parseDuration(drain) ?? 0,
    tls:
      typeof certificate === "string"
        ? certificate
        : { cert: resolve(directory, certificate.cert), key: resolve(directory, certificate.key) },
  } satisfies ExtProcOptions;
}
