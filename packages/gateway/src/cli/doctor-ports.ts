/** `spillway doctor` and the ports of the configuration: are they free, and if not, is it Spillway that has them. */
import { request as requestHttp, type IncomingMessage } from "node:http";
import { request as requestHttps } from "node:https";
import type { DoorOptions } from "../contracts/options.ts";
import { toSentence } from "./describe-error.ts";
import { tryToListen, type Finding } from "./doctor-checks.ts";

/** A port that is to be listened at. */
export type Port = Pick<DoorOptions, "host" | "port" | "optional" | "tls">;

/** Time for a running gateway to answer, ms: one that is busy starting takes its time. */
const patienceMs = 3_000;
/** More than `/health` says. */
const maxBytes = 10_000;

/**
 * A finding for each port. One that is taken by a running Spillway is in order, which its `/health` tells; the others of that
 * configuration are then taken for its own.
 */
export async function checkPorts(http: readonly Port[], others: readonly Port[]): Promise<Finding[]> {
  const asked = await Promise.all(http.map((port) => checkPort(port, askHealth)));
  const running = http.find((_, index) => asked[index]?.running !== undefined);
  const rest = await Promise.all(others.map((port) => checkPort(port, () => Promise.resolve(undefined))));
  return [...asked, ...rest].map(({ finding, isTaken }, index): Finding => {
    if (index < http.length || running === undefined || !isTaken) return finding;
    const message = `taken, as it seems by the Spillway that has port ${running.port}`;
    return { name: finding.name, status: "ok", message };
  });
}

interface Checked {
  readonly finding: Finding;
  readonly isTaken: boolean;
  /** What runs there, where it is Spillway. */
  readonly running?: string;
}

async function checkPort(options: Port, ask: (port: Port) => Promise<string | undefined>): Promise<Checked> {
  const { host, port, optional = false } = options;
  const name = `port ${port}`;
  if (port === 0)
    return { finding: { name, status: "ok", message: `any free one of ${host}` }, isTaken: false };
  try {
    await tryToListen({ host, port });
    return { finding: { name, status: "ok", message: `free on ${host}` }, isTaken: false };
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    const running = isTaken ? await ask(options) : undefined;
    if (running !== undefined)
      return {
        finding: { name, status: "ok", message: `taken by ${running}, which runs` },
        isTaken,
        running,
      };
    const advice = "stop what listens there, or choose another port (serve --port, --grpc-port, --host)";
    // The sentence goes on with advice of its own.
    const [message = ""] = toSentence(error).split("; ");
    return { finding: { name, status: optional ? "warn" : "fail", message, advice }, isTaken };
  }
}

/** `Spillway 1.2.3` where the health address of that port is Spillway's. Health needs no key. */
async function askHealth({ host, port, tls }: Port): Promise<string | undefined> {
  const wild: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  const where = { host: wild[host] ?? host, port, path: "/health", timeout: patienceMs };
  // Whose certificate it is does not matter: nothing is told, and what comes back is printed only.
  const call = tls === undefined ? requestHttp(where) : requestHttps({ ...where, rejectUnauthorized: false });
  const signal = AbortSignal.timeout(patienceMs);
  signal.addEventListener("abort", () => call.destroy(new Error("no answer in time")));
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      call.once("response", resolve).once("error", reject).end();
    });
    return readHealth(await readStart(answer));
  } catch {
    return undefined;
  } finally {
    call.destroy();
  }
}

async function readStart(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > maxBytes) break;
  }
  return text;
}

function readHealth(text: string): string | undefined {
  const value = JSON.parse(text) as { name?: unknown; version?: unknown; status?: unknown } | null;
  if (value?.name !== "spillway" || typeof value.version !== "string") return undefined;
  return `Spillway ${value.version}${value.status === "ready" ? "" : ` (${String(value.status)})`}`;
}
