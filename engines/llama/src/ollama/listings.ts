/** Ollama's listings: `GET /api/tags`, `/api/ps`, `/api/version` and `POST /api/show`. */
import { createHash } from "node:crypto";
import { answerJson } from "../http/answer.ts";
import type { EngineRoute } from "../http/server.ts";
import type { FoundModel } from "../models/find-models.ts";
import type { LoadedModel, ModelStore } from "../models/model-store.ts";
import type { FileFacts } from "../port.ts";
import { ollamaErrorBody } from "./error-body.ts";

/** Expiry that listings show for models that never go. */
const neverMs = Date.UTC(2318, 0, 1);

/** The routes. */
export function listingRoutes(store: ModelStore, version: string): EngineRoute[] {
  return [
    {
      method: "GET",
      path: "/api/version",
      errorBody: ollamaErrorBody,
      handle: ({ response }) => answerJson(response, { version }),
    },
    {
      method: "GET",
      path: "/api/tags",
      errorBody: ollamaErrorBody,
      async handle({ response }) {
        const loaded = new Map(store.loaded().map((entry) => [entry.found.name, entry]));
        const found = await store.list();
        const models = found.map((model) => {
          const { modifiedMs } = model;
          const facts = loaded.get(model.name)?.model.facts;
          return { ...tagOf(model, facts), modified_at: new Date(modifiedMs).toISOString() };
        });
        answerJson(response, { models });
      },
    },
    {
      method: "GET",
      path: "/api/ps",
      errorBody: ollamaErrorBody,
      handle: ({ response }) => answerJson(response, { models: store.loaded().map(running) }),
    },
    {
      method: "POST",
      path: "/api/show",
      errorBody: ollamaErrorBody,
      async handle({ fields, response }) {
        // Ollama's own command says "model": "" and the name under the older "name".
        const found = await store.find(fields.text("model") || fields.requiredText("name"));
        answerJson(response, showOf(found, await store.describe(found)));
      },
    },
  ];
}

/** Ollama names a model without a tag `name:latest`. */
function taggedName(name: string): string {
  return name.includes(":") ? name : `${name}:latest`;
}

function tagOf(found: FoundModel, facts: FileFacts | undefined) {
  const name = taggedName(found.name);
  return { name, model: name, size: found.bytes, digest: digestOf(found), details: detailsOf(facts) };
}

/** Stands for the file as it is: its name, size and time, since hashing gigabytes for a listing costs seconds. */
function digestOf({ name, bytes, modifiedMs }: FoundModel): string {
  return createHash("sha256").update(`${name}\0${bytes}\0${modifiedMs}`).digest("hex");
}

/** What is known before a model is loaded is its format only. */
function detailsOf(facts: FileFacts | undefined) {
  const family = facts?.architecture ?? "";
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: family === "" ? [] : [family],
    parameter_size: facts === undefined ? "" : shortCount(facts.parameters),
    quantization_level: facts?.quantization ?? "",
  };
}

/** Such as `7.6B` or `135M`. */
function shortCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}B`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)}M` : `${(count / 1e3).toFixed(1)}K`;
}

function running({ found, model, expiresMs }: LoadedModel) {
  return {
    ...tagOf(found, model.facts),
    size: model.memoryBytes,
    size_vram: 0,
    context_length: model.contextSize,
    expires_at: new Date(Math.min(expiresMs, neverMs)).toISOString(),
  };
}

function showOf({ modifiedMs }: FoundModel, facts: FileFacts) {
  const { architecture } = facts;
  return {
    modelfile: "",
    parameters: "",
    template: facts.chatTemplate ?? "",
    details: detailsOf(facts),
    model_info: {
      "general.architecture": architecture,
      "general.parameter_count": facts.parameters,
      [`${architecture}.context_length`]: facts.trainContextSize,
      [`${architecture}.embedding_length`]: facts.embeddingLength,
    },
    capabilities: ["completion", "tools"],
    modified_at: new Date(modifiedMs).toISOString(),
  };
}
