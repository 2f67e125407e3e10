// deploy/envoy belongs together: Envoy asks where the picker listens, for what it can answer.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { parseConfig } from "../../packages/gateway/src/config/with-plugins.ts";
import { processPath } from "../../packages/gateway/src/doors/extproc/extproc-door.ts";
import { repositoryRoot } from "../harness/gateway.ts";

const folder = path.join(repositoryRoot, "deploy/envoy");
const read = (name: string): string => readFileSync(path.join(folder, name), "utf8");

test("the picker's configuration loads, and Envoy asks on its port, over TLS, with the modes that it answers", () => {
  const parsed = parseConfig(read("spillway.yaml"), { directory: folder, environment: {} });
  assert.ok("config" in parsed, JSON.stringify(parsed));
  const { extProc } = parsed.config;
  assert.equal(extProc?.tls, "self-signed");
  const text = JSON.stringify(parse(read("envoy.yaml")));
  assert.ok(text.includes(`"address":"127.0.0.1","port_value":${extProc.port}`));
  assert.ok(text.includes("UpstreamTlsContext"));
  assert.ok(text.includes('"request_body_mode":"FULL_DUPLEX_STREAMED"'));
  assert.ok(text.includes('"response_body_mode":"FULL_DUPLEX_STREAMED"'));
  assert.ok(text.includes(`"service_name":"${processPath.split("/")[1]}"`));
  assert.ok(text.includes('"http_header_name":"x-gateway-destination-endpoint"'));
});
