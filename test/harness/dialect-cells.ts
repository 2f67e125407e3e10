/** The cells of the table of dialects: which caller asks which kind of server, and at which address. */
import type { CallerName } from "./chat-wire.ts";
import type { TestGateway } from "./gateway.ts";

/** `pools` in the words of `spillway.yaml`. */
export type PoolsText = Readonly<Record<string, unknown>>;

/** The value of a sample of `/metrics`, 0 where there is none. */
export async function sampleOf({ url }: TestGateway, sample: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1) ?? 0);
}

/** A call of a caller to a pool. */
export interface Cell {
  readonly caller: CallerName;
  /** The pool, which is the name of its one model too. */
  readonly pool: string;
  /** The address that the server is asked at. */
  readonly path: string;
  /** The server speaks the caller's API: its bytes are passed on. */
  readonly isRelay: boolean;
}

const chat = "/v1/chat/completions";

function cell(caller: CallerName, pool: string, path: string, how: "bytes" | "translated"): Cell {
  return { caller, pool, path, isRelay: how === "bytes" };
}

/** Every cell, as bytes where the server speaks the caller's API and translated where it does not. */
export const cells: readonly Cell[] = [
  cell("chat", "openai", chat, "bytes"),
  cell("chat", "ollama", chat, "bytes"),
  cell("chat", "anthropic", "/v1/messages", "translated"),
  cell("completions", "openai", "/v1/completions", "bytes"),
  cell("completions", "ollama", "/v1/completions", "bytes"),
  cell("responses", "openai", "/v1/responses", "bytes"),
  cell("responses", "ollama", "/v1/responses", "bytes"),
  cell("responses", "older-openai", chat, "translated"),
  cell("responses", "older-ollama", "/api/chat", "translated"),
  cell("responses", "anthropic", "/v1/messages", "translated"),
  cell("ollama chat", "ollama", "/api/chat", "bytes"),
  cell("ollama chat", "openai", chat, "translated"),
  cell("ollama chat", "anthropic", "/v1/messages", "translated"),
  cell("generate", "ollama", "/api/generate", "bytes"),
  cell("generate", "openai", chat, "translated"),
  cell("generate", "anthropic", "/v1/messages", "translated"),
  cell("messages", "anthropic", "/v1/messages", "bytes"),
  cell("messages", "openai", "/v1/messages", "bytes"),
  cell("messages", "ollama", "/v1/messages", "bytes"),
  cell("messages", "older-openai", chat, "translated"),
  cell("messages", "older-ollama", "/api/chat", "translated"),
];

/** What a cell is called in the names of tests. */
export function nameOf({ caller, pool, path, isRelay }: Cell): string {
  return `${caller} → ${pool} ${isRelay ? "as bytes" : `translated to ${path}`}`;
}

/** Models that the pools of `cellPools` have. */
export const cellModels = ["openai", "older-openai", "ollama", "older-ollama", "anthropic"];

/** The pools of the cells over servers that have all addresses; `more` goes into each. */
export function cellPools(endpoints: readonly string[], more: object = {}): PoolsText {
  const pool = (name: string): object => ({
    dialect: name.replace("older-", ""),
    endpoints,
    models: [name],
    serves: serves(name),
    ...more,
  });
  const older = ["chat", "completions", "embeddings"];
  const serves = (name: string): readonly string[] => {
    if (name === "anthropic") return ["messages"];
    return name.startsWith("older-") ? older : [...older, "responses", "messages"];
  };
  return Object.fromEntries(cellModels.map((name) => [name, pool(name)]));
}
