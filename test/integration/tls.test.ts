/** HTTPS and gRPC over TLS from certificate files, and what happens when these change. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { request, Agent } from "node:https";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from "node:tls";
import { Client, credentials } from "@grpc/grpc-js";
import { systemClock } from "../../packages/gateway/src/core/clock.ts";
import { createAuthority, type TestAuthority } from "../harness/certificates.ts";
import { createModelFolder, startTestGateway, testConfig, type TestGateway } from "../harness/gateway.ts";
import { requireProgram } from "../harness/requires.ts";
import { until } from "../harness/until.ts";

interface Secured {
  readonly gateway: TestGateway;
  readonly authority: TestAuthority;
  readonly ca: string;
  readonly port: number;
  readonly grpc: number;
  readonly files: { readonly cert: string; readonly key: string };
  /** Writes a pair into the files. */
  readonly place: (pair: { readonly cert: string; readonly key: string }) => void;
}

/** A gateway whose both doors have a certificate for localhost; undefined where openssl is missing. */
async function setup(
  test: TestContext,
  options: Parameters<typeof startTestGateway>[2] = {},
): Promise<Secured | undefined> {
  const authority = createAuthority(test);
  if (authority === undefined) return undefined;
  const models = createModelFolder(test);
  models.addMock("m", "mock: { identity: true, width: 1 }");
  const files = { cert: join(models.path, ".cert.pem"), key: join(models.path, ".key.pem") };
  const place: Secured["place"] = ({ cert, key }) => {
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key);
  };
  place(authority.issue("localhost"));
  const config = testConfig(models.path);
  const door = { ...config.http[0], ...config.grpc, tls: files } as NonNullable<typeof config.grpc>;
  const gateway = await startTestGateway(test, { ...config, http: [door], grpc: door }, options);
  const { http, grpc } = gateway.listening;
  const ca = readFileSync(authority.file, "utf8");
  return { gateway, authority, ca, files, place, port: http[0]?.port ?? 0, grpc: grpc?.port ?? 0 };
}

/** On a new connection with a whole handshake, unless an agent keeps some. */
function get(
  port: number,
  {
    ca,
    agent = new Agent({ keepAlive: false, maxCachedSessions: 0 }),
  }: { readonly ca: string; readonly agent?: Agent },
): Promise<{ status: number; cert: PeerCertificate }> {
  const where = { host: "127.0.0.1", servername: "localhost", port, path: "/health/live", ca, agent };
  return new Promise((resolve, reject) => {
    const call = request(where, (answer) => {
      const cert = (answer.socket as TLSSocket).getPeerCertificate();
      answer
        .resume()
        .on("end", () => resolve({ status: answer.statusCode ?? 0, cert }))
        .on("error", reject);
    });
    call.on("error", reject).end();
  });
}

/** `open`, or why there is no connection. */
function handshake(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", servername: "localhost", port, ...options });
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", () => resolve("closed"));
    socket.on("secureConnect", () => {
      resolve("open");
      socket.destroy();
    });
  });
}

describe("doors with a certificate", () => {
  it("speak HTTPS and gRPC over TLS 1.2 and later, to clients that trust it", async (test) => {
    const secured = await setup(test);
    if (secured === undefined) return;
    const { port, grpc, ca, authority } = secured;
    assert.equal((await get(port, { ca })).status, 200);
    for (const each of [port, grpc]) {
      const ALPNProtocols = each === grpc ? ["h2"] : ["http/1.1"];
      assert.match(await handshake(each, { ALPNProtocols }), /unable to|self-signed/);
      assert.equal(await handshake(each, { ca, ALPNProtocols, maxVersion: "TLSv1.2" }), "open");
      const old = await handshake(each, { ca, ALPNProtocols, minVersion: "TLSv1", maxVersion: "TLSv1.1" });
      assert.notEqual(old, "open");
    }
    const client = new Client(`localhost:${grpc}`, credentials.createSsl(Buffer.from(ca)));
    const asIs = (bytes: Buffer): Buffer => bytes;
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      const path = "/inference.GRPCInferenceService/ServerReady";
      client.makeUnaryRequest(path, asIs, asIs, Buffer.alloc(0), (error, message) =>
        error === null ? resolve(message) : reject(error),
      );
    });
    client.close();
    assert.deepEqual([...(answer ?? [])], [8, 1]);
    const curl = requireProgram(test, "curl", "apt install curl");
    if (curl === undefined) return;
    const url = `https://localhost:${port}/v2/models/m/infer`;
    const body = '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,1],"data":[7]}]}';
    const printed = await promisify(execFile)(curl, ["-sS", "--cacert", authority.file, url, "-d", body], {
      timeout: 10_000,
    });
    assert.match(printed.stdout, /"data":\[7\]/);
  });

  it("take what is not TLS for nothing, and close though somebody has not finished the handshake", async (test) => {
    const secured = await setup(test);
    if (secured === undefined) return;
    const { port, gateway } = secured;
    const plain = connectPlain(port, "127.0.0.1");
    const ended = new Promise((resolve) => plain.on("close", resolve));
    plain.on("error", () => {});
    plain.resume().write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await ended;
    const silent = connectPlain(port, "127.0.0.1");
    silent.on("error", () => {});
    await new Promise((resolve) => silent.once("connect", resolve));
    await pause(20);
    const start = performance.now();
    await gateway.close({ graceMs: 0 });
    assert.ok(performance.now() - start < 3_000);
    silent.destroy();
  });

  it("do not open with a pair that does not fit, is no pair, or has expired", async (test) => {
    const secured = await setup(test);
    if (secured === undefined) return;
    const { authority, files } = secured;
    const [a, b] = [authority.issue("localhost"), authority.issue("other.test")];
    const start = (clock = systemClock) => {
      const config = testConfig(createModelFolder(test).path);
      const http = config.http.map((door) => ({ ...door, tls: files }));
      return startTestGateway(test, { ...config, http }, { clock });
    };
    secured.place({ cert: a.cert, key: b.key });
    await assert.rejects(start(), /The key in .*key\.pem is not that of the certificate in .*cert\.pem/);
    secured.place({ cert: "nothing", key: a.key });
    await assert.rejects(start(), /There is no PEM certificate in .*cert\.pem/);
    secured.place({ cert: a.cert, key: "nothing" });
    await assert.rejects(start(), /key\.pem is no PEM private key/);
    secured.place(a);
    const later = { ...systemClock, wallNow: () => Date.now() + 3 * 86_400_000 };
    await assert.rejects(start(later), /The certificate in .*cert\.pem expired on \d{4}-/);
  });
});

describe("a certificate that changes", () => {
  it("is used for new connections, without a failed request", async (test) => {
    const secured = await setup(test);
    if (secured === undefined) return;
    const { port, grpc, ca, authority, gateway, place } = secured;
    const serialOf = async () => (await get(port, { ca })).cert.serialNumber;
    const first = await serialOf();
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    test.after(() => agent.destroy());
    let running = true;
    let answered = 0;
    const load = Array.from({ length: 16 }, async (_, i) => {
      // Half of them on kept connections, half on new ones.
      while (running) {
        const { status } = await get(port, i % 2 === 0 ? { ca, agent } : { ca });
        assert.equal(status, 200);
        answered++;
      }
    });
    const renewals = () => gateway.events.filter(({ event }) => event === "certificate_renewed").length;
    place(authority.issue("localhost"));
    await until("both doors have it, and enough was asked", () => renewals() === 2 && answered > 50);
    running = false;
    await Promise.all(load);
    assert.notEqual(await serialOf(), first);
    assert.equal(await handshake(grpc, { ca, ALPNProtocols: ["h2"] }), "open");
  });

  it("is not used when it is bad, and that is logged", async (test) => {
    const secured = await setup(test);
    if (secured === undefined) return;
    const { port, ca, authority, gateway, files } = secured;
    const { serialNumber } = (await get(port, { ca })).cert;
    writeFileSync(files.cert, authority.issue("localhost").cert);
    const problems = () => gateway.events.filter(({ event }) => event === "certificate_not_renewed");
    await until("both doors say so", () => problems().length === 2);
    assert.match(String(problems()[0]?.fields["error"]), /is not that of the certificate/);
    assert.equal((await get(port, { ca })).cert.serialNumber, serialNumber);
  });
});
