/** A gateway with one route that escalates, over two scripted servers. */
import type { TestContext } from "node:test";
import type { GatewayConfig } from "../../packages/gateway/src/app/options.ts";
import { callers, type CallerName } from "./chat-wire.ts";
import { startCall, type ForwardCall } from "./forward-call.ts";
import type { TestGateway } from "./gateway.ts";
import { startPooledGateway } from "./pooled-gateway.ts";
import { answerWhole, startScriptedModel, type ModelScript, type ScriptedModel } from "./scripted-model.ts";
import { until } from "./until.ts";

/** The gateway and its servers. */
export interface EscalationBench {
  readonly gateway: TestGateway;
  readonly edge: ScriptedModel;
  readonly cloud: ScriptedModel;
}

/** What differs from two servers of OpenAI's API that answer well. */
export interface EscalationSetup {
  readonly edge?: ModelScript;
  readonly cloud?: ModelScript;
  /** Over what the pool of the edge says. */
  readonly pool?: object;
  /** Over what the pool of the cloud says. */
  readonly cloudPool?: object;
  readonly escalate?: object;
  readonly dialects?: readonly [edge: string, cloud: string];
  readonly config?: Partial<GatewayConfig>;
}

/** A route `m` over the pool `edge`, which escalates to the pool `cloud`. */
export async function startEscalationBench(
  t: TestContext,
  setup: EscalationSetup = {},
): Promise<EscalationBench> {
  const edge = await startScriptedModel(t, ["small"], setup.edge ?? answerWhole);
  const cloud = await startScriptedModel(t, ["large"], setup.cloud ?? answerWhole);
  const [edgeDialect, cloudDialect] = setup.dialects ?? ["openai", "openai"];
  const both = { serves: ["chat"], retries: { max: 0 } };
  const gateway = await startPooledGateway(t, {
    pools: {
      edge: { dialect: edgeDialect, endpoints: [edge.url], models: ["small"], ...both, ...setup.pool },
      cloud: {
        dialect: cloudDialect,
        endpoints: [cloud.url],
        models: ["large"],
        ...both,
        ...setup.cloudPool,
      },
    },
    routes: [
      {
        model: "m",
        targets: [{ pool: "edge", model: "small" }],
        escalate: { to: { pool: "cloud", model: "large" }, ...setup.escalate },
      },
    ],
    ...(setup.config === undefined ? {} : { config: setup.config }),
  });
  return { gateway, edge, cloud };
}

/** One call. */
export interface EscalationAsk {
  readonly caller?: CallerName;
  readonly stream?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  /** Further fields of the body. */
  readonly more?: object;
}

/** Asks for the route's model. */
export function askRoute({ gateway }: EscalationBench, ask: EscalationAsk = {}): ForwardCall {
  const { caller = "chat", stream = false, headers = {}, more = {} } = ask;
  const { path, body } = callers[caller];
  return startCall(gateway.url, { path, body: { ...body("m", stream), ...more }, headers });
}

/** Status, who answered, why, and what was held back, as the headers tell. */
export function toldBy({ status, headers }: ForwardCall): readonly unknown[] {
  const names = ["x-spillway-answered-by", "x-spillway-escalation", "x-spillway-withheld"];
  return [status, ...names.map((name) => headers[name])];
}

/** Lines of the series of escalations. */
export async function countedBy({ gateway }: EscalationBench): Promise<readonly string[]> {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return text.split("\n").filter((line) => line.startsWith("spillway_escalations_total{"));
}

/** One line of them. */
export function countOf(reason: string, outcome: string, value = 1): string {
  return `spillway_escalations_total{route="m",reason="${reason}",outcome="${outcome}"} ${value}`;
}

/** Every place was given back. */
export async function untilIdle({ gateway }: EscalationBench): Promise<void> {
  await until("no place is held", () =>
    gateway.forward.pools().every(({ endpoints }) => endpoints.every(({ inFlight }) => inFlight === 0)),
  );
}

/** Breaks the connection. */
export const cutOff: ModelScript = ({ socket }) => void socket.destroy();

/** Never answers. */
export const saysNothing: ModelScript = () => undefined;

/** Refuses with a status. */
export function refuseWith(status: number): ModelScript {
  return ({ response }) =>
    void response.writeHead(status, { "content-type": "application/json" }).end('{"error":{"message":"no"}}');
}
