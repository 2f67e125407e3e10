/** Clients that leave: how long until the server behind sees its connection closed. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { originOf, withChatRig } from "../harness/chat-rig.ts";
import type { ChatRig } from "../harness/chat-rig.ts";
import { digits, runsRow, spreadText } from "../harness/figure.ts";
import type { Figure, FigureContext, FigureResult } from "../harness/figure.ts";
import { spreadOf } from "../harness/spread.ts";
import { parameterOf, readWorkload } from "../harness/workload.ts";
import type { Workload } from "../harness/workload.ts";
import { monotonicUs } from "../load/event-stamps.ts";

/** What a client waits for when it leaves, and what its request asks the server to do. */
const phases = {
  "waiting for the head of a stream": { stream: true, metadata: { headDelayMs: 5_000 } },
  "waiting for the first event": { stream: true, metadata: { firstDelayMs: 5_000 } },
  "in the middle of a stream": { stream: true, max_tokens: 100_000 },
  "waiting for a whole answer": { stream: false, metadata: { wholeDelayMs: 5_000 } },
} as const;
/** What is not seen by then counts as never. */
const NEVER_MS = 5_000;
const POLL_MS = 20;

/** Every try of every phase counts; the test suite tries the phases in which the server behind has not been asked yet. */
export const figure: Figure = {
  id: "chat-cancel",
  title: "client leaves in any phase, 1,000 tries",
  target: "the server's connection closed within 100 ms, every time",
  run,
};

async function run(context: FigureContext): Promise<FigureResult> {
  const workload = await readWorkload("chat-cancel");
  const tries = context.scale === "full" ? parameterOf(workload, "triesPerPhase") : 10;
  return withChatRig(context, {}, async (rig) => {
    const byPhase: Record<string, readonly number[]> = {};
    for (const [phase, body] of Object.entries(phases)) {
      byPhase[phase] = await leave({ rig, phase, body, tries, workload });
      context.log(`${phase}: ${spreadText(spreadOf(byPhase[phase]))} ms`);
    }
    return judge(byPhase, parameterOf(workload, "limitMs"));
  });
}

function judge(byPhase: Readonly<Record<string, readonly number[]>>, limitMs: number): FigureResult {
  const all = spreadOf(Object.values(byPhase).flat());
  return {
    rows: [
      runsRow(all, {
        what: `client gone until the server's connection closed, ms, ${Object.values(byPhase).flat().length} tries`,
        goal: { atMost: limitMs },
      }),
    ],
    details: Object.entries(byPhase).map(
      ([phase, times]) =>
        `${phase}: ${spreadText(spreadOf(times))} ms, worst ${digits(Math.max(...times))} ms`,
    ),
    data: { byPhase },
  };
}

interface Tries {
  readonly rig: ChatRig;
  readonly phase: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly tries: number;
  readonly workload: Workload;
}

/** Milliseconds from each leaving to its closing. */
async function leave({ rig, phase, body, tries, workload }: Tries): Promise<number[]> {
  const atOnce = parameterOf(workload, "atOnce");
  const leftUs = new Map<string, number>();
  const closedUs = new Map<string, number>();
  for (let from = 0; from < tries; from += atOnce) {
    const users = Array.from(
      { length: Math.min(atOnce, tries - from) },
      (_, index) => `${phase} ${from + index}`,
    );
    await Promise.all(
      users.map(async (user) => {
        leftUs.set(user, await askAndLeave(rig, { ...body, user }, parameterOf(workload, "leaveAfterMs")));
      }),
    );
    await collectClosings(rig, leftUs, closedUs);
  }
  return Array.from(leftUs, ([user, us]) => {
    const closed = closedUs.get(user);
    return closed === undefined ? NEVER_MS : (closed - us) / 1000;
  });
}

/** Sends a chat and leaves after a while, whatever has come by then. The time of leaving, on the clock of the server behind. */
async function askAndLeave(rig: ChatRig, extra: object, leaveAfterMs: number): Promise<number> {
  const body = JSON.stringify({ model: "bench", messages: [{ role: "user", content: "Hello" }], ...extra });
  const { host, port } = rig.gateway.address;
  const socket = connect({ host, port });
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: ${host}:${port}\r\nAuthorization: ${rig.authorization}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await sleep(leaveAfterMs);
  const us = monotonicUs();
  socket.destroy();
  return us;
}

/** Asks the server behind until it has told of every request, or for long enough. */
async function collectClosings(
  rig: ChatRig,
  leftUs: ReadonlyMap<string, number>,
  closedUs: Map<string, number>,
): Promise<void> {
  const endMs = performance.now() + NEVER_MS;
  while (closedUs.size < leftUs.size && performance.now() < endMs) {
    await sleep(POLL_MS);
    const answer = await fetch(`${originOf(rig.upstreams[0].address)}/closings`);
    const { closings } = (await answer.json()) as {
      readonly closings: readonly { readonly user: string; readonly closedUs: number }[];
    };
    for (const closing of closings) closedUs.set(closing.user, closing.closedUs);
  }
}
