/** Refuses requests that are too large, have another shape than is wanted, or say what may not be said. */
import * as z from "zod";
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, GatewayError, isFailure, type Failure } from "../../core/errors.ts";
import { findMisfit, uncheckedWord } from "../../core/fits-schema.ts";
import type { PromptReading } from "../../core/forward.ts";
import { LinearMatcher } from "./patterns/linear-matcher.ts";

/** A body up to this size is parsed and held against a schema within some milliseconds. */
const maxSchemaBytes = 262_144;

/** Refused with why where it cannot be matched in linear time. */
const pattern = z
  .string()
  .min(1)
  .max(1_000)
  .superRefine((source, context) => {
    const why = whyNot(() => new LinearMatcher([{ source, ignoreCase: true }]));
    if (why !== undefined) context.addIssue(why);
  });

/** What the making of something throws. */
function whyNot(make: () => unknown): string | undefined {
  try {
    make();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const patternSchema = z.union([
  pattern,
  z.strictObject({
    pattern,
    ignoreCase: z.boolean().default(false),
    reason: z
      .string()
      .min(1)
      .max(1_024)
      .optional()
      .describe("For the caller; without one it is not told which pattern it was"),
  }),
]);

const parameters = z.lazy(() =>
  z.strictObject({
    operations: z
      .array(z.string().min(1))
      .min(1)
      .max(16)
      .optional()
      .describe("Calls that are let through: `chat`, `messages`, … Absent: all"),
    maxBytes: z.int().min(1).optional().describe("Largest body, bytes"),
    maxMessages: z.int().min(1).optional().describe("Most messages of a conversation"),
    maxPromptTokens: z.int().min(1).optional().describe("Most tokens of the prompt, estimated"),
    maxTokens: z.int().min(1).optional().describe("Most tokens that a request may ask for"),
    requireMaxTokens: z
      .boolean()
      .default(false)
      .describe("Requests have to say how many tokens they want at most"),
    schema: z
      .record(z.string(), z.unknown())
      .superRefine((schema, context) => {
        const word = uncheckedWord(schema);
        if (word !== undefined) {
          context.addIssue(`the word ${word} is not checked here; patterns of texts go into deny`);
        }
      })
      .optional()
      .describe("JSON Schema of the body; larger bodies than 256 KiB are refused"),
    deny: z
      .array(patternSchema)
      .max(200)
      .default([])
      .describe("Regular expressions that no text of the prompt may match anywhere"),
    denyIn: z.enum(["all", "user"]).default("all").describe("Whose texts `deny` is about"),
    maxCheckedBytes: z
      .int()
      .min(1)
      .max(1_048_576)
      .default(131_072)
      .describe("A prompt with more text is refused where there is `deny`, bytes"),
  }),
);

/** Parameters of `validate`. */
export type ValidateParameters = z.output<typeof parameters>;

class Validate implements RoutingRule {
  readonly onFailure = "closed";
  readonly timeoutMs = 1_000;
  readonly #limits: ValidateParameters;
  readonly #deny: readonly { readonly reason: string | undefined }[];
  #matcher: LinearMatcher | undefined;

  constructor(limits: ValidateParameters) {
    this.#limits = limits;
    const patterns = limits.deny.map((each) =>
      typeof each === "string" ? { pattern: each, ignoreCase: false, reason: undefined } : each,
    );
    this.#deny = patterns.map(({ reason }) => ({ reason }));
    if (patterns.length === 0) return;
    const given = patterns.map((each) => ({ source: each.pattern, ignoreCase: each.ignoreCase }));
    const why = whyNot(() => (this.#matcher = new LinearMatcher(given)));
    if (why !== undefined) throw new GatewayError("bad_request", `deny: ${why}`);
  }

  applies(): boolean {
    return true;
  }

  apply(request: RoutedRequest): RuleResult | Failure {
    const { operations } = this.#limits;
    if (operations !== undefined && !operations.includes(request.operation)) {
      return { refusal: failure("denied", `${request.operation} is not let through here`) };
    }
    const refusal = this.#tokens(request);
    if (refusal !== undefined) return { refusal };
    const { prompt } = request;
    if (prompt === undefined) return {};
    // What cannot be read cannot be checked.
    if (isFailure(prompt)) return { refusal: prompt };
    const broken = this.#sizes(prompt) ?? this.#shape(prompt);
    return broken === undefined ? this.#words(prompt) : { refusal: broken };
  }

  #tokens({ payload }: RoutedRequest): Failure | undefined {
    const { maxPromptTokens, maxTokens, requireMaxTokens } = this.#limits;
    const { promptTokens, maxCompletionTokens } = payload.estimate;
    if (maxPromptTokens !== undefined && promptTokens > maxPromptTokens) {
      return failure(
        "body_too_large",
        `The prompt has about ${promptTokens} tokens; at most ${maxPromptTokens}`,
      );
    }
    if (maxCompletionTokens === undefined) {
      return requireMaxTokens ? failure("bad_request", "The request has to limit its tokens") : undefined;
    }
    if (maxTokens === undefined || maxCompletionTokens <= maxTokens) return undefined;
    return failure("bad_request", `${maxCompletionTokens} tokens are asked for; at most ${maxTokens}`);
  }

  #sizes({ bytes, messages }: PromptReading): Failure | undefined {
    const { maxBytes, maxMessages } = this.#limits;
    if (maxBytes !== undefined && bytes.length > maxBytes) {
      return failure("body_too_large", `The body has ${bytes.length} bytes; at most ${maxBytes}`);
    }
    if (maxMessages === undefined || messages <= maxMessages) return undefined;
    return failure("body_too_large", `The conversation has ${messages} messages; at most ${maxMessages}`);
  }

  #shape({ bytes }: PromptReading): Failure | undefined {
    const { schema } = this.#limits;
    if (schema === undefined) return undefined;
    if (bytes.length > maxSchemaBytes) {
      const text = `The body has ${bytes.length} bytes; at most ${maxSchemaBytes} are checked`;
      return failure("body_too_large", text);
    }
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"));
    } catch {
      return failure("invalid_json");
    }
    const misfit = findMisfit(value, schema);
    if (misfit === undefined) return undefined;
    if (misfit === "unknown") return failure("body_too_large", "The body has too much in it to be checked");
    const field = misfit.join(".");
    const text = `${field === "" ? "The body" : field} is not as this gateway wants it`;
    return { ...failure("bad_request", text), ...(field === "" ? {} : { field }) };
  }

  #words(prompt: PromptReading): RuleResult | Failure {
    const matcher = this.#matcher;
    if (matcher === undefined) return {};
    const { denyIn, maxCheckedBytes } = this.#limits;
    const { texts, isCut } = prompt.texts(maxCheckedBytes);
    if (isCut) {
      const text = `The prompt has more text than is checked, ${maxCheckedBytes} bytes`;
      return { refusal: failure("body_too_large", text) };
    }
    for (const { role, text } of texts) {
      if (denyIn === "user" && role !== "user") continue;
      const found = matcher.find(text);
      if (found === "spent") return failure("rule_failed", "The prompt takes too long to check", 1_000);
      if (found === undefined) continue;
      const refusal = failure("denied", this.#deny[found]?.reason);
      return { refusal, note: `deny[${found}]` };
    }
    return {};
  }
}

/** The definition. */
export const validate: PluginDefinition<RoutingRule, ValidateParameters> = {
  type: "validate",
  kinds: ["rule"],
  summary: "Refuses requests by size, shape and what they say",
  parameters,
  needs: { prompt: true },
  create: (given) => new Validate(given),
};
