/** A server that answers as a real Ollama was recorded to: see test/fixtures/ollama. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Exchange } from "./ollama-recording/exchange.ts";

const folder = new URL("../fixtures/ollama/exchanges/", import.meta.url);

/** All that was recorded, by name. */
export function recordedExchanges(): ReadonlyMap<string, Exchange> {
  const files = readdirSync(folder).toSorted();
  return new Map(
    files.map((file) => {
      const exchange = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Exchange;
      return [file.replace(/\.json$/, ""), exchange];
    }),
  );
}

/** What differs from what was recorded. */
export interface ReplayOptions {
  /** What `/api/version` says: the addresses for OpenAI's and Anthropic's clients came with versions. */
  readonly version?: string;
  /** Names of exchanges that answer their addresses whatever is asked. */
  readonly always?: readonly string[];
}

/** A replaying server. */
export interface ReplayedOllama {
  readonly url: string;
  /** Method, path and body of calls that no exchange answered. */
  readonly unknown: readonly string[];
}

/** Answers each call by the exchange with the same method, path and body; 599 where there is none. */
export async function startReplayedOllama(
  t: Pick<TestContext, "after">,
  { version, always = [] }: ReplayOptions = {},
): Promise<ReplayedOllama> {
  const all = recordedExchanges();
  const fixed = always.flatMap((name) => all.get(name) ?? []);
  return startReplayed(t, { exchanges: [...all.values()], fixed, version });
}

/** What a replaying server answers with. */
export interface Replay {
  readonly exchanges: readonly Exchange[];
  /** These answer their addresses whatever is asked. */
  readonly fixed?: readonly Exchange[];
  /** As `ReplayOptions.version`. */
  readonly version?: string | undefined;
}

/** The same for what any other server answered. */
export async function startReplayed(
  t: Pick<TestContext, "after">,
  { exchanges, fixed = [], version }: Replay,
): Promise<ReplayedOllama> {
  const unknown: string[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "", url: path = "" } = request;
    const text = (await buffer(request)).toString("utf8");
    if (path === "/api/version" && version !== undefined)
      return void response.end(JSON.stringify({ version }));
    const found =
      fixed.find(({ request: { method: given, path: at } }) => given === method && at === path) ??
      exchanges.find((exchange) => isSame(exchange.request, { method, path, body: text }));
    if (found === undefined) {
      unknown.push(`${method} ${path} ${text}`);
      return void response.writeHead(599).end();
    }
    await replay(found.response, response);
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, unknown };
}

/** Bodies are the same where they mean the same JSON. */
function isSame(one: Exchange["request"], other: Exchange["request"]): boolean {
  if (one.method !== other.method || one.path !== other.path) return false;
  const [body = "", sent = ""] = [one.body, other.body];
  if (body === sent) return true;
  try {
    return isDeepStrictEqual(JSON.parse(body), JSON.parse(sent));
  } catch {
    return false;
  }
}

/** Piece by piece, each in a turn of its own. */
async function replay(recorded: Exchange["response"], response: ServerResponse): Promise<void> {
  response.writeHead(
    recorded.status,
    recorded.headers.flatMap(([name, value]) => [name, value]),
  );
  for (const piece of recorded.pieces) {
    response.write(piece);
    await turn();
  }
  if (recorded.isWhole) response.end();
  else response.destroy();
}
