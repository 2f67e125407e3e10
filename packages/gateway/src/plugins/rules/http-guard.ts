/** Asks a moderation service whether a request may go on. */
import * as z from "zod";
import type { HttpCallout } from "../../contracts/http-callout.ts";
import type { PluginDefinition, PluginHost } from "../../contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import type { PromptReading } from "../../core/forward.ts";
import { askService, createCallout, serviceShape } from "./callout-parameters.ts";

const parameters = z.lazy(() =>
  z.strictObject({
    ...serviceShape,
    send: z
      .enum(["last", "conversation"])
      .default("last")
      .describe("What the service is told: the caller's last message, or all texts of the conversation"),
    format: z
      .enum(["decision", "moderations"])
      .default("decision")
      .describe(
        "How it is asked and answers. `decision`: `{request_id, model, caller, operation, messages}` → `{allow, reason?}`. `moderations`: as OpenAI's `/v1/moderations`",
      ),
    reason: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .describe("Told to the caller where the service gives no reason"),
  }),
);

/** Parameters of `http-guard`. */
export type HttpGuardParameters = z.output<typeof parameters>;

/** Longest reason that is passed on, characters. */
const maxReason = 500;

class HttpGuard implements RoutingRule {
  readonly onFailure = "closed";
  readonly timeoutMs = 2_000;
  readonly #parameters: HttpGuardParameters;
  readonly #callout: HttpCallout;

  constructor(given: HttpGuardParameters, host: PluginHost) {
    this.#parameters = given;
    this.#callout = createCallout(given, host);
  }

  applies({ payload }: RoutedRequest): boolean {
    return payload.readPrompt !== undefined;
  }

  apply(request: RoutedRequest): RuleResult | Failure | Promise<RuleResult | Failure> {
    const { prompt } = request;
    if (prompt === undefined) return {};
    // What cannot be read cannot be asked about.
    if (isFailure(prompt)) return prompt;
    const messages = this.#messages(prompt);
    if (isFailure(messages)) return messages;
    return messages.length === 0 ? {} : this.#ask(request, messages);
  }

  /** A failure where there is more than may be sent: the service is not to judge a part. */
  #messages(prompt: PromptReading): readonly { readonly role: string; readonly content: string }[] | Failure {
    const { send, maxQueryBytes } = this.#parameters;
    const tooLong = failure(
      "bad_request",
      `The prompt has more text than is checked, ${maxQueryBytes} bytes`,
    );
    if (send === "conversation") {
      const { texts, isCut } = prompt.texts(maxQueryBytes);
      return isCut ? tooLong : texts.map(({ role, text }) => ({ role, content: text }));
    }
    const last = prompt.lastUserText(maxQueryBytes);
    if (last === undefined) return [];
    return last.isCut ? tooLong : [{ role: "user", content: last.text }];
  }

  async #ask(
    { id, model, callerId, operation, cancellation }: RoutedRequest,
    messages: readonly { readonly role: string; readonly content: string }[],
  ): Promise<RuleResult | Failure> {
    const { format, maxAnswerBytes, reason } = this.#parameters;
    const question =
      format === "moderations"
        ? { input: messages.map(({ content }) => content) }
        : { request_id: id, model, caller: callerId, operation, messages };
    const read = await askService(this.#callout, question, { maxAnswerBytes, cancellation });
    if (isFailure(read)) return read;
    const verdict = format === "moderations" ? readModeration(read.answer) : readDecision(read.answer);
    if (verdict === undefined) return failure("bad_upstream_answer", "The service gave no verdict");
    if (verdict.allow) return { note: "allowed" };
    return { refusal: failure("denied", verdict.reason ?? reason) };
  }
}

interface Verdict {
  readonly allow: boolean;
  readonly reason: string | undefined;
}

function readDecision({ allow, reason }: Readonly<Record<string, unknown>>): Verdict | undefined {
  if (typeof allow !== "boolean") return undefined;
  return {
    allow,
    reason: typeof reason === "string" && reason !== "" ? reason.slice(0, maxReason) : undefined,
  };
}

/** Of several inputs one that is flagged is enough. */
function readModeration({ results }: Readonly<Record<string, unknown>>): Verdict | undefined {
  if (!Array.isArray(results) || results.length === 0) return undefined;
  const categories = new Set<string>();
  let isFlagged = false;
  for (const result of results as readonly unknown[]) {
    if (typeof result !== "object" || result === null || !("flagged" in result)) return undefined;
    if (typeof result.flagged !== "boolean") return undefined;
    isFlagged ||= result.flagged;
    const found = "categories" in result ? result.categories : undefined;
    if (typeof found !== "object" || found === null) continue;
    for (const [name, holds] of Object.entries(found)) if (holds === true) categories.add(name);
  }
  const named = [...categories].slice(0, 10).join(", ");
  return { allow: !isFlagged, reason: named === "" ? undefined : `Flagged: ${named}`.slice(0, maxReason) };
}

/** The definition. */
export const httpGuard: PluginDefinition<RoutingRule, HttpGuardParameters> = {
  type: "http-guard",
  kinds: ["rule"],
  summary: "Asks a moderation service whether a request may go on",
  parameters,
  needs: { prompt: true },
  create: (given, host) => new HttpGuard(given, host),
};
