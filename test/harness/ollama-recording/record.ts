/**
 * Records what a real Ollama on this machine answers:
 * `node scripts/run.mjs test/harness/ollama-recording/record.ts http://127.0.0.1:11434 PID`.
 * It makes the model `tiny` there from random weights, asks everything of calls.ts and removes it again. PID is the
 * server's process, whose runner is killed in the midst of an answer. With the address of a gateway before that server
 * instead of the process nothing is written: every call is made at both, and what differs is told.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { buildGguf } from "../gguf-build.ts";
import { calls, type Call } from "./calls.ts";
import type { Exchange } from "./exchange.ts";
import { startRegistry } from "./registry.ts";

const folder = new URL("../../fixtures/ollama/exchanges/", import.meta.url);
const file = buildGguf({ seed: 1 });
const digest = `sha256:${createHash("sha256").update(file).digest("hex")}`;

/** Makes one call and keeps its answer as it came, piece by piece. */
function ask(base: string, call: Call): Promise<Exchange["response"]> {
  const { method, path, body } = call;
  const headers = {
    ...call.headers,
    ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(new URL(path, base), { method, headers, agent: false }, (response) => {
      const pieces: string[] = [];
      const done = (isWhole: boolean): void => {
        const { statusCode: status = 0, rawHeaders: raw } = response;
        const named = raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ""]] : []));
        // What depends on the moment and the connection only is left to whoever sends it again.
        const kept = named.filter(([name = ""]) => !/^(date|connection|keep-alive)$/i.test(name));
        resolve({ status, headers: kept as [string, string][], pieces, isWhole });
      };
      response.on("data", (piece: Buffer) => {
        pieces.push(piece.toString("utf8"));
        call.onPiece?.(pieces.length);
      });
      response.on("end", () => done(true));
      response.on("error", () => done(false));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** What is to be the same at two addresses: no times, durations and ids. */
function comparable({ status, headers, pieces }: Exchange["response"]): string {
  const type = headers.find(([name]) => /^content-type$/i.test(name))?.[1] ?? "";
  const text = pieces
    .join("")
    .replaceAll(/"(created_at|modified_at|expires_at)":"[^"]*"/g, '"$1":""')
    .replaceAll(/"(\w+_duration|created|created_at|completed_at)":\d+/g, '"$1":0')
    .replaceAll(/(chatcmpl|cmpl|msg|resp|rs|item|call)[-_][\w-]+/g, "$1-");
  return `${status} ${type}\n${text}`;
}

async function compare(direct: string, gateway: string, call: Call): Promise<void> {
  const one = comparable(await ask(direct, call));
  const other = comparable(await ask(gateway, call));
  console.log(
    one === other
      ? `same    ${call.name}`
      : `DIFFERS ${call.name}\n--- direct\n${one}\n--- gateway\n${other}`,
  );
}

async function record(direct: string, call: Call): Promise<void> {
  const response = await ask(direct, call);
  const { name, method, path, body } = call;
  const text = typeof body === "string" ? body : undefined;
  const sent = { method, path, ...(text === undefined ? {} : { body: text }) };
  const exchange: Exchange = { request: sent, response };
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(exchange, null, 2)}\n`);
  console.log(`${response.status} ${name}`);
}

/** The server's own processes are the runners of its models. */
function killRunners(server: string): void {
  const children = readdirSync(`/proc/${server}/task`).flatMap((task) =>
    readFileSync(`/proc/${server}/task/${task}/children`, "utf8")
      .split(" ")
      .filter((pid) => pid !== ""),
  );
  if (children.length === 0) throw new Error(`process ${server} has no runner`);
  for (const pid of children) process.kill(Number(pid), "SIGKILL");
}

const [, , direct, other = ""] = process.argv;
if (direct === undefined) throw new Error("the address of an Ollama server is missing");
const gateway = other.startsWith("http") ? other : undefined;
const registry = await startRegistry();
if (gateway === undefined) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
}
const all = calls({ file, digest, registry: registry.host, killRunner: () => killRunners(other) });
for (const call of all) {
  if (gateway !== undefined && call.onPiece !== undefined) continue;
  if (gateway === undefined) await record(direct, call);
  else await compare(direct, gateway, call);
}
registry.close();
