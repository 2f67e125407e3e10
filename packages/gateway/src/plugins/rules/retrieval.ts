/** Asks a service for what belongs to the caller's last message, and puts it before that message. */
import * as z from "zod";
import type { HttpCallout } from "../../contracts/http-callout.ts";
import type { PluginDefinition, PluginHost } from "../../contracts/plugins/plugin.ts";
import type { RoutedRequest, RoutingRule, RuleResult } from "../../contracts/plugins/rule.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { askService, createCallout, serviceShape } from "./callout-parameters.ts";
import { promptOperations } from "./prompt-operations.ts";
import { TtlCache } from "./ttl-cache.ts";

const hole = "{context}";

const parameters = z.lazy(() =>
  z.strictObject({
    ...serviceShape,
    topK: z
      .int()
      .min(1)
      .max(1_000)
      .optional()
      .describe("How many pieces are asked for; the service may give others"),
    maxContextChars: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(16_000)
      .describe("Of what was found so much is used, characters; the piece that goes beyond is left out"),
    template: z
      .string()
      .max(16_384)
      .refine((text) => text.includes(hole), `expected a text with ${hole}`)
      .default(`Use this where it helps:\n${hole}`)
      .describe("What stands before the message, with what was found in the place of `{context}`"),
    cache: z
      .strictObject({
        ttlMs: z.int().min(0).max(86_400_000).default(60_000),
        entries: z.int().min(0).max(100_000).default(1_000),
      })
      .prefault({})
      .describe("What was found is used again for the same question, for so long"),
  }),
);

/** Parameters of `retrieval`. */
export type RetrievalParameters = z.output<typeof parameters>;

class Retrieval implements RoutingRule {
  readonly onFailure = "open";
  readonly timeoutMs = 1_000;
  readonly #parameters: RetrievalParameters;
  readonly #callout: HttpCallout;
  readonly #found: TtlCache<string> | undefined;

  constructor(given: RetrievalParameters, host: PluginHost) {
    this.#parameters = given;
    this.#callout = createCallout(given, host);
    const { ttlMs, entries } = given.cache;
    if (ttlMs > 0 && entries > 0) {
      this.#found = new TtlCache({ clock: host.clock, ttlMs, capacity: entries });
    }
  }

  applies({ operation, payload }: RoutedRequest): boolean {
    return promptOperations.has(operation) && payload.edited !== undefined;
  }

  apply(request: RoutedRequest): RuleResult | Failure | Promise<RuleResult | Failure> {
    const { prompt } = request;
    if (prompt === undefined) return {};
    if (isFailure(prompt)) return prompt;
    const query = prompt.lastUserText(this.#parameters.maxQueryBytes)?.text.trim() ?? "";
    if (query === "") return {};
    const key = `${request.callerId}\n${request.model}\n${query}`;
    const known = this.#found?.get(key);
    return known === undefined ? this.#ask(request, query, key) : use(request, known, "kept");
  }

  async #ask(request: RoutedRequest, query: string, key: string): Promise<RuleResult | Failure> {
    const { topK, maxAnswerBytes, maxContextChars, template } = this.#parameters;
    const { id, model, callerId, cancellation } = request;
    const question = {
      query,
      model,
      request_id: id,
      caller: callerId,
      ...(topK === undefined ? {} : { top_k: topK }),
    };
    const read = await askService(this.#callout, question, { maxAnswerBytes, cancellation });
    if (isFailure(read)) return read;
    const pieces = piecesOf(read.answer);
    if (pieces === undefined)
      return failure("bad_upstream_answer", "The service gave neither text nor chunks");
    const found = fitting(pieces, maxContextChars);
    const context = found === "" ? "" : template.replace(hole, () => found);
    this.#found?.set(key, context);
    return use(request, context, "found");
  }
}

/** The answer's `text`, or the texts of its `chunks`. */
function piecesOf({ text, chunks }: Readonly<Record<string, unknown>>): readonly string[] | undefined {
  if (typeof text === "string") return [text];
  if (!Array.isArray(chunks)) return undefined;
  const pieces: string[] = [];
  for (const chunk of chunks as readonly unknown[]) {
    const piece: unknown =
      typeof chunk === "object" && chunk !== null && "text" in chunk ? chunk.text : chunk;
    if (typeof piece !== "string") return undefined;
    pieces.push(piece);
  }
  return pieces;
}

/** As many whole pieces as fit; of a first that is too long, the beginning. */
function fitting(pieces: readonly string[], maxChars: number): string {
  let text = "";
  for (const piece of pieces) {
    const trimmed = piece.trim();
    if (trimmed === "") continue;
    const longer = text === "" ? trimmed : `${text}\n\n${trimmed}`;
    if (longer.length > maxChars) return text === "" ? trimmed.slice(0, maxChars).toWellFormed() : text;
    text = longer;
  }
  return text;
}

function use({ payload }: RoutedRequest, context: string, how: "found" | "kept"): RuleResult | Failure {
  if (context === "") return { note: `${how} nothing` };
  const edited = payload.edited?.({ context });
  if (edited === undefined || edited === payload) return {};
  return isFailure(edited) ? edited : { payload: edited, note: `${how} ${context.length} characters` };
}

/** The definition. */
export const retrieval: PluginDefinition<RoutingRule, RetrievalParameters> = {
  type: "retrieval",
  kinds: ["rule"],
  summary: "Asks a service for context and puts it before the caller's last message",
  parameters,
  needs: { prompt: true },
  create: (given, host) => new Retrieval(given, host),
};
