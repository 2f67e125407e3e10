/** Rules as a test needs them: made from parameters as a configuration gives them, asked about requests kept plain. */
import type { PluginDefinition, PluginHost } from "../../src/contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule } from "../../src/contracts/plugins/rule.ts";
import type { Metrics } from "../../src/contracts/telemetry.ts";
import { Cancellation } from "../../src/core/cancellation.ts";
import type { PromptReading, PromptText } from "../../src/core/forward.ts";
import { createMetrics } from "../../src/telemetry/index.ts";
import { createManualClock, type ManualClock } from "../../src/testing.ts";
import { relayPayload } from "./forward-fixture.ts";

/** What a test may set of what a rule is made with. */
export interface RuleSetup {
  readonly metrics?: Metrics;
  readonly clock?: ManualClock;
  /** In turn, again and again; default 0. */
  readonly units?: readonly number[];
  readonly callout?: PluginHost["callout"];
}

/** Makes a rule called `rule`. Throws what its definition throws. */
export function makeRule<P>(
  definition: PluginDefinition<RoutingRule, P>,
  parameters: unknown,
  setup: RuleSetup = {},
): RoutingRule {
  const { units = [0], callout } = setup;
  const quiet = (): void => {};
  let next = 0;
  return definition.create(definition.parameters.parse(parameters), {
    name: "rule",
    clock: setup.clock ?? createManualClock(),
    random: { unit: () => units[next++ % units.length] ?? 0, id: () => "id" },
    logger: { error: quiet, warn: quiet, info: quiet, debug: quiet },
    metrics: setup.metrics ?? createMetrics(),
    ...(callout === undefined ? {} : { callout }),
    dataIndex: () => 0,
  });
}

/** A prompt of the given texts; `user` where only a text is given. */
export function plainPrompt(
  ...given: readonly (string | PromptText)[]
): PromptReading & { readonly all: readonly PromptText[] } {
  const all = given.map((each) => (typeof each === "string" ? { role: "user", text: each } : each));
  return {
    all,
    bytes: Buffer.from(JSON.stringify({ messages: all.map(({ role, text }) => ({ role, content: text })) })),
    messages: all.length,
    texts: (maxBytes) => {
      const bytes = all.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
      return bytes <= maxBytes ? { texts: all, isCut: false } : { texts: all.slice(0, 1), isCut: true };
    },
    lastUserText(maxBytes) {
      const text = all.findLast(({ role }) => role === "user")?.text;
      return text === undefined
        ? undefined
        : { text: text.slice(0, maxBytes), isCut: text.length > maxBytes };
    },
  };
}

/** A request as rules see it. */
export function routed(more: Partial<RoutedRequest> = {}): RoutedRequest {
  return {
    id: "request-1",
    model: "m",
    headers: {},
    callerId: "local",
    dialect: "openai",
    operation: "chat",
    payload: relayPayload(),
    prompt: undefined,
    cancellation: new Cancellation(),
    ...more,
  };
}
