/** Lists of models in Ollama's words, over all pools, and what is said of models that no Ollama serves. */
import { hash } from "node:crypto";
import type { PooledModel } from "../../contracts/http-endpoint.ts";
import type { Operation } from "../../core/forward.ts";
import { mayUse } from "../../core/may-use.ts";
import type { Caller, WireAnswer } from "../../core/request.ts";
import { isJsonObject, type JsonObject } from "../chat/json-object.ts";
import { jsonAnswer } from "../json-answer.ts";
import type { OllamaDeps } from "./deps.ts";
import { isSameModel } from "../../core/model-name.ts";

/** `/api/tags`: every model that the caller may use, once. An Ollama server's own card where there is one. */
export function listModels({ forward }: OllamaDeps, caller: Caller): JsonObject {
  const models = forward.models().filter(({ name }) => mayUse(caller, name));
  return { models: models.map((model) => ({ ...cardOf(model), name: model.name, model: model.name })) };
}

/** `/api/ps`: every loaded model that the caller may use, once, whichever pools have it, with the longest stay in memory. */
export function listRunning({ forward }: OllamaDeps, caller: Caller): JsonObject {
  const loaded = new Map<string, JsonObject>();
  for (const { name, running } of forward.pools().flatMap((pool) => pool.models())) {
    if (!mayUse(caller, name)) continue;
    for (const { card } of running) {
      const known = loaded.get(name);
      if (known === undefined || expiryOf(card) > expiryOf(known)) loaded.set(name, card);
    }
  }
  return {
    models: [...loaded].map(([name, card]) => ({ digest: digestOf(name), ...card, name, model: name })),
  };
}

/** The model, where only servers of other dialects have it; undefined otherwise. */
export function servedElsewhere({ forward }: OllamaDeps, name: string): PooledModel | undefined {
  const found = forward.models().find((model) => isSameModel(model.name, name));
  return found === undefined || found.dialects.includes("ollama") ? undefined : found;
}

/** What a call without a prompt is answered for a model that is not loaded on demand: it is there. */
export function answerLoad({ clock }: OllamaDeps, operation: Operation, model: string): WireAnswer {
  if (operation === "embeddings") return jsonAnswer(200, { embedding: [] });
  if (operation === "embed") return jsonAnswer(200, { model, embeddings: [] });
  const said = operation === "chat" ? { message: { role: "assistant", content: "" } } : { response: "" };
  return jsonAnswer(200, {
    model,
    created_at: new Date(clock.wallNow()).toISOString(),
    ...said,
    done: true,
    done_reason: "load",
  });
}

/**
 * `/api/show` of a model whose server tells nothing of the kind. Clients offer only models that say they
 * take tools; a server whose model does not refuses them itself. Anthropic's all take pictures. The context is told where
 * the server tells it.
 */
export function answerShow(model: PooledModel): WireAnswer {
  const context = contextOf(model);
  return jsonAnswer(200, {
    details: noDetails,
    model_info:
      context === undefined
        ? {}
        : { "general.architecture": unknownArchitecture, [`${unknownArchitecture}.context_length`]: context },
    capabilities: ["completion", "tools", ...(model.dialects.includes("anthropic") ? ["vision"] : [])],
    modified_at: cardOf(model)["modified_at"],
  });
}

/** Clients look for the context under the name of the architecture. */
const unknownArchitecture = "unknown";

/** The context in tokens, as vLLM and SGLang, llama.cpp, and Anthropic and OpenRouter name it in their lists. */
function contextOf({ card }: PooledModel): number | undefined {
  const meta = card?.["meta"];
  const { n_ctx: slot, n_ctx_train: trained } = isJsonObject(meta) ? meta : {};
  const told = [card?.["max_model_len"], slot, trained, card?.["max_input_tokens"], card?.["context_length"]];
  return told.find((length): length is number => typeof length === "number" && length > 0);
}

/** Stands for weights that nobody hashed: Ollama's command prints the first twelve digits, and ends where there are none. */
function digestOf(name: string): string {
  return hash("sha256", name);
}

const noDetails: JsonObject = {
  parent_model: "",
  format: "",
  family: "",
  families: null,
  parameter_size: "",
  quantization_level: "",
};

/** Clients want every field of a card to be there. */
function cardOf({ name, card, dialects }: PooledModel): JsonObject {
  if (card !== undefined && dialects.includes("ollama") && "digest" in card) return card;
  const created = card?.["created"];
  const createdAt = card?.["created_at"];
  const modifiedAt = new Date(
    typeof created === "number" ? created * 1_000 : typeof createdAt === "string" ? createdAt : 0,
  );
  const isDate = !Number.isNaN(modifiedAt.getTime());
  return {
    name: "",
    model: "",
    modified_at: (isDate ? modifiedAt : new Date(0)).toISOString(),
    size: 0,
    digest: digestOf(name),
    details: noDetails,
  };
}

function expiryOf(card: JsonObject): number {
  const expiry = card["expires_at"];
  const time = typeof expiry === "string" ? Date.parse(expiry) : Number.NaN;
  return Number.isNaN(time) ? 0 : time;
}
