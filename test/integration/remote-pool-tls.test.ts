/** Pools over TLS: the certificate must be of the authority that is trusted, and for the name that is called. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { GrpcPoolOptions } from "../../packages/gateway/src/contracts/options.ts";
import { GatewayError } from "../../packages/gateway/src/core/errors.ts";
import { createAuthority } from "../harness/certificates.ts";
import { startModelServer } from "../harness/model-server.ts";
import { startPool, type TestPool } from "../harness/pool.ts";
import { until } from "../harness/until.ts";

/** A pool whose every name leads to one server with a certificate for `models.test`; undefined without openssl. */
async function connect(
  test: TestContext,
  call: { readonly host: string; readonly scheme?: string; readonly trust?: "authority" | "system" },
): Promise<TestPool | undefined> {
  const authority = createAuthority(test);
  if (authority === undefined) return undefined;
  const server = await startModelServer({ tls: authority.issue("models.test") });
  test.after(() => server.stop());
  const { host, scheme = "grpcs", trust = "authority" } = call;
  const ca: Partial<GrpcPoolOptions> = trust === "authority" ? { ca: authority.file } : {};
  return startPool(
    test,
    { endpoints: [`${scheme}://${host}:${server.port}`], ...ca },
    { resolve: () => Promise.resolve(["127.0.0.1"]) },
  );
}

async function whyAway(pool: TestPool): Promise<string> {
  await until("it is given up for now", () => pool.events.includes("remote_server_unreachable"));
  return JSON.stringify(pool.pool.inspect());
}

test("a certificate of the pool's authority for the pool's name", async (test) => {
  const pool = await connect(test, { host: "models.test" });
  if (pool === undefined) return;
  await until("it serves", () => pool.stateOf("double") === "ready");
  await pool.double();
});

test("a certificate for another name", async (test) => {
  const pool = await connect(test, { host: "others.test" });
  if (pool !== undefined) assert.match(await whyAway(pool), /does not match certificate's altnames/);
});

test("a certificate of an authority that is not trusted", async (test) => {
  const pool = await connect(test, { host: "models.test", trust: "system" });
  if (pool !== undefined) assert.match(await whyAway(pool), /unable to|self-signed/);
});

test("plain text to a server that wants TLS", async (test) => {
  const pool = await connect(test, { host: "models.test", scheme: "grpc" });
  if (pool !== undefined) await whyAway(pool);
});

test("a file that is not there", async (test) => {
  await assert.rejects(
    startPool(test, { endpoints: ["grpcs://models.test:1"], ca: "/no/such/file.pem" }),
    (error) => error instanceof GatewayError && /Pool pool: .*\/no\/such\/file\.pem/.test(error.message),
  );
});
