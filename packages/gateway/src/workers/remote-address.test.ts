import assert from "node:assert/strict";
import { test } from "node:test";
import { GatewayError } from "../core/errors.ts";
import { isAddress, parseRemoteName } from "./remote-address.ts";

test("endpoints are read", () => {
  for (const [url, host, port, security] of [
    ["grpc://inference-service:50051", "inference-service", 50_051, "plain"],
    ["grpcs://models.example.com:443", "models.example.com", 443, "tls"],
    ["grpc://10.0.0.5:1/", "10.0.0.5", 1, "plain"],
    ["grpc://[::1]:65535", "::1", 65_535, "plain"],
  ] as const) {
    assert.deepEqual(parseRemoteName(url), { url, host, port, security });
  }
});

test("what is no endpoint is refused with what was expected", () => {
  for (const url of [
    "",
    "inference-service:50051",
    "http://inference-service:50051",
    "grpc://inference-service",
    "grpc://inference-service:0",
    "grpc://inference-service:65536",
    "grpc://:50051",
    "grpc://user@host:50051",
    "grpc://host:50051/path",
    "grpc://::1:50051",
  ]) {
    assert.throws(
      () => parseRemoteName(url),
      (error) => error instanceof GatewayError && error.message.endsWith(`grpcs://host:port, got ${url}`),
      url,
    );
  }
});

test("addresses are told from names", () => {
  assert.deepEqual(["10.0.0.5", "::1", "fe80::1%eth0", "models.test"].map(isAddress), [
    true,
    true,
    true,
    false,
  ]);
});
