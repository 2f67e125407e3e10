/** One gateway over two simulated servers of each kind, shared by the tests of one file, and what they check alike. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { checkWords, startSimulator } from "@spillway/simulator";
import type { AnswerWish, Fault, RequestRecord, Simulator } from "@spillway/simulator";
import type { TestGateway } from "../../harness/gateway.ts";
import { Cleanup, startPooledGateway } from "../../harness/pooled-gateway.ts";
import { until } from "../../harness/until.ts";
import { poolKinds, type CallName, type PoolKind } from "./pool-kinds.ts";

/** Every test's time, ms. */
export const limit = { timeout: 20_000 } as const;

/** How soon a server has to notice that a client has left, ms. */
const leftWithinMs = 100;

/** How many words the servers say when they are not asked for more or less. */
export const answerWords = 12;

/** The key of the servers that ask for one: the gateway's, which callers do not have. */
const serverKey = "key-of-the-servers";

/** What tests are done with. */
export interface Matrix {
  /** `http://127.0.0.1:port` of the gateway. */
  url(): string;
  /** Fails where the newest request for the kind's model did not arrive at the address that the kind names for the call. */
  cameBy(kind: PoolKind, call: CallName): RequestRecord;
  /** Runs `ask` while every request for the kind's model fails so, at both servers. */
  broken<T>(kind: PoolKind, fault: Fault, ask: () => Promise<T>): Promise<T>;
  /** Runs `ask` again and again while one server fails so, until that one was asked. The client must not notice. */
  halfBroken(kind: PoolKind, fault: Fault, ask: () => Promise<unknown>): Promise<void>;
  /** Runs `ask`, which has to call `leave` as it aborts, and fails where a server is still at work 100 ms later. */
  noticesLeaving(kind: PoolKind, ask: (leave: () => void) => Promise<unknown>): Promise<void>;
  /** Resolves when a server was asked for the kind's model and has not answered yet. */
  atWork(kind: PoolKind): Promise<void>;
}

/** Starts everything before the tests of the file and ends it after them. */
export function serveMatrix(): Matrix {
  const cleanup = new Cleanup();
  const started = new Map<PoolKind, readonly Simulator[]>();
  let gateway: TestGateway | undefined;
  before(async () => {
    for (const kind of poolKinds) {
      started.set(kind, [await startServer(kind, cleanup), await startServer(kind, cleanup)]);
    }
    gateway = await startPooledGateway(cleanup, { pools: poolsOver(started) });
  }, limit);
  after(() => cleanup.closeAll(), limit);
  const serversOf = (kind: PoolKind): readonly Simulator[] => started.get(kind) ?? assert.fail("not started");
  return {
    url: () => gateway?.url ?? assert.fail("not started"),
    cameBy: (kind, call) => cameBy(serversOf(kind), kind, call),
    broken: (kind, fault, ask) => withFault(serversOf(kind), { ...fault, model: kind.model }, ask),
    halfBroken: (kind, fault, ask) => halfBroken(serversOf(kind), { ...fault, model: kind.model }, ask),
    noticesLeaving: (kind, ask) => noticesLeaving(serversOf(kind), kind, ask),
    atWork: async (kind) => {
      await until("a server works", () =>
        requestsOf(serversOf(kind), kind).some(({ ended }) => ended === undefined),
      );
    },
  };
}

async function startServer({ face, model, version }: PoolKind, cleanup: Cleanup): Promise<Simulator> {
  const simulator = await startSimulator({
    face,
    models: [{ name: model, answerTokens: { mean: answerWords, deviation: 0 } }],
    apiKeys: needsKey(face) ? [serverKey] : [],
    alphabet: "unicode",
    engine: { stepMs: 1 },
    answer: wishOf,
    ...(version === undefined ? {} : { version }),
  });
  cleanup.after(() => simulator.close());
  return simulator;
}

function needsKey(face: PoolKind["face"]): boolean {
  return face === "openai" || face === "anthropic";
}

function poolsOver(servers: ReadonlyMap<PoolKind, readonly Simulator[]>): Record<string, unknown> {
  const pools: Record<string, unknown> = {};
  for (const [{ name, face, model }, simulators] of servers) {
    pools[name] = {
      dialect: face === "vllm" ? "openai" : face,
      endpoints: simulators.map(({ url }) => url),
      models: [model],
      // These tests break servers on purpose; what a pool does with one that is broken is tested elsewhere.
      health: { failures: 100 },
      retries: { backoff: "1ms" },
      ...(needsKey(face) ? { credentials: serverKey } : {}),
    };
  }
  return pools;
}

/** A prompt with `say 30 words` has an answer of 30 words; one with `call twice` two calls of the tool. */
function wishOf({ body }: { readonly body: unknown }): AnswerWish | undefined {
  const text = JSON.stringify(body);
  const words = /say (\d+) words/.exec(text)?.[1];
  if (words !== undefined) return { outputTokens: Number(words) };
  if (!text.includes("call twice")) return undefined;
  const calls = forecasts.map((city) => ({ name: "forecast", arguments: { city, days: 2 } }));
  return text.includes("rain in") ? undefined : { toolCalls: calls };
}

/** Cities of the two calls. */
export const forecasts = ["Zürich", "Köln"] as const;

/** Prompts that the servers answer in ways that tests can tell. */
export const prompts = {
  plain: "Tell me of the weather",
  /** An answer that takes a quarter of a minute at least. */
  endless: "say 15000 words",
  callTwice: "call twice",
} as const;

/** Only what names the model is struck: questions about health have to succeed. */
async function withFault<T>(
  servers: readonly Simulator[],
  fault: Fault & { readonly model: string },
  ask: () => Promise<T>,
): Promise<T> {
  for (const { faults } of servers) faults.set([fault]);
  try {
    return await ask();
  } finally {
    for (const { faults } of servers) faults.clear();
  }
}

/** Which server is asked depends on how fast each was: they are broken in turns, two requests each. */
async function halfBroken(
  servers: readonly Simulator[],
  fault: Fault & { readonly model: string },
  ask: () => Promise<unknown>,
): Promise<void> {
  for (let turn = 0; turn < 40; turn++) {
    const broken = servers[(turn >> 1) % servers.length];
    assert.ok(broken);
    const struck = await withFault([broken], fault, async () => {
      await ask();
      return broken.faults.list().some((each) => each.struck > 0);
    });
    if (struck) return;
  }
  assert.fail("the broken server was never asked");
}

function requestsOf(servers: readonly Simulator[], { model }: { readonly model: string }): RequestRecord[] {
  const own = servers.flatMap(({ requests }) => requests.all().filter((each) => each.model === model));
  return own.sort((one, other) => one.startedAt - other.startedAt);
}

function cameBy(servers: readonly Simulator[], kind: PoolKind, call: CallName): RequestRecord {
  const record = requestsOf(servers, kind).at(-1) ?? assert.fail("no server was asked");
  assert.equal(record.path, kind.ends[call]);
  return record;
}

/** The best of three tries counts: a machine that is busy elsewhere delays some, a gateway that waits delays all. */
async function noticesLeaving(
  servers: readonly Simulator[],
  kind: PoolKind,
  ask: (leave: () => void) => Promise<unknown>,
): Promise<void> {
  let best = Infinity;
  for (let turn = 0; turn < 3 && best >= leftWithinMs; turn++) {
    for (const { requests } of servers) requests.clear();
    let leftAt: number | undefined;
    await ask(() => (leftAt ??= performance.timeOrigin + performance.now()));
    assert.ok(leftAt, "nobody left");
    const record = await until("a server notices", () =>
      requestsOf(servers, kind).find(({ ended }) => ended !== undefined),
    );
    assert.equal(record.ended, "client_closed");
    best = Math.min(best, (record.endedAt ?? Infinity) - leftAt);
  }
  assert.ok(best < leftWithinMs, `the server went on for ${best} ms`);
}

/** Faults of a stream that has begun: each has to reach the client as an error, never as an end. */
export const streamBreaks: Readonly<Record<string, Fault>> = {
  "a closed connection": { cutAfterEvents: 6 },
  "a reset connection": { cutAfterEvents: 6, cut: "reset" },
  "an end before the last word": { cutBeforeFinal: true, cut: "end" },
  "an unreadable event": { malformedAfterEvents: 6 },
  "an error of the server's": { errorAfterEvents: 6 },
};

/** Faults before the first content, which the other server makes good. */
export const unseenBreaks: Readonly<Record<string, Fault>> = {
  "a refusal": { status: 502 },
  "a closed connection": { cutBeforeHeaders: true },
  "an answer cut after its head": { cutAfterEvents: 0 },
};

/** Fails where words of an answer were lost, doubled or moved, or there are not `count` of them. */
export function assertWords(text: string | null | undefined, count = answerWords): void {
  assert.deepEqual(checkWords(text ?? ""), { words: count, intact: true }, text ?? "no text");
}

/** What structured output and the tool's arguments have to be like. */
export const forecastSchema = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city", "days"],
  additionalProperties: false,
} as const;

/** Fails for what does not fit `forecastSchema`. */
export function assertForecast(value: unknown): void {
  assert.ok(typeof value === "object" && value !== null);
  const { city, days, ...rest } = value as { city?: unknown; days?: unknown };
  assert.equal(typeof city, "string");
  assert.ok(Number.isInteger(days) && Number(days) >= 1 && Number(days) <= 7, String(days));
  assert.deepEqual(rest, {});
}

/** A red dot: the smallest picture there is. */
export const picture =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
