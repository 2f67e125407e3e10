/** The models an Ollama server has on disk: tags, show, pull, copy, delete and the rest. */
import { createHash } from "node:crypto";
import type { Model } from "../../model-spec.ts";
import { resolveModel } from "../../model-spec.ts";
import type { ErrorAnswer, Exchange } from "../../server/exchange.ts";
import type { World } from "../face.ts";
import { fields, isFields, text } from "../fields.ts";

/** Said when the queue is full, in Ollama's words. */
export const OVERLOADED: ErrorAnswer = {
  status: 503,
  message: "server busy, please try again.  maximum pending requests exceeded",
};

/** Said of a model that is not there. */
export function missingModel(name: string): ErrorAnswer {
  return { status: 404, message: `model "${name}" not found` };
}

/** `name` and `name:latest` are the same model. */
export function findOllamaModel({ models }: World, name: string): Model | undefined {
  return (
    models.get(name) ??
    models.get(`${name}:latest`) ??
    (name.endsWith(":latest") ? models.get(name.slice(0, -7)) : undefined)
  );
}

/** Ollama's own command says `"model": ""` and the name under the older `name`. */
function nameOf(body: unknown): string {
  return [text(fields(body)["model"]), text(fields(body)["name"])].find((name) => name) ?? "";
}

function detailsOf({ family, parameterSize, quantization }: Model): Record<string, unknown> {
  return {
    parent_model: "",
    format: "gguf",
    family,
    families: [family],
    parameter_size: parameterSize,
    quantization_level: quantization,
  };
}

/** `GET /api/tags`. */
export function listTags(exchange: Exchange, world: World, since: string): void {
  const models = [...world.models.values()].map((model) => ({
    name: model.name,
    model: model.name,
    modified_at: since,
    size: model.sizeBytes,
    digest: model.digest,
    details: detailsOf(model),
  }));
  exchange.json({ models });
}

/** `GET /api/ps`. */
export function listRunning(exchange: Exchange, world: World): void {
  const models = world.host.runners().flatMap(({ model: { name }, state, expiresAt, users }) => {
    const model = world.models.get(name);
    if (model === undefined || state === "loading") return [];
    const kept = Number.isFinite(expiresAt) ? expiresAt : Date.UTC(2318, 0, 1);
    return {
      name,
      model: name,
      size: model.sizeBytes,
      digest: model.digest,
      details: detailsOf(model),
      expires_at: new Date(users > 0 ? Math.max(kept, world.clock.wallNow()) : kept).toISOString(),
      size_vram: model.sizeBytes,
      context_length: model.engine.maxContext,
    };
  });
  exchange.json({ models });
}

/** `POST /api/show`. */
export function showOllamaModel(exchange: Exchange, world: World, since: string): void {
  const name = nameOf(exchange.body);
  if (name === "") return exchange.error({ status: 400, message: "model is required" });
  const model = findOllamaModel(world, name);
  if (model === undefined) return exchange.error({ status: 404, message: `model '${name}' not found` });
  exchange.json({
    license: "none: a simulated model",
    modelfile: `FROM ${model.name}\n`,
    parameters: "",
    template: "{{ .Prompt }}",
    details: detailsOf(model),
    model_info: {
      "general.architecture": model.family,
      "general.parameter_count": Math.round(Number.parseFloat(model.parameterSize) * 1e9),
      [`${model.family}.context_length`]: model.engine.maxContext,
      [`${model.family}.embedding_length`]: model.embeddingLength,
    },
    // Ollama calls a model one that embeds or one that completes, never both.
    capabilities: model.capabilities.filter(
      (what) => what !== "embedding" || !model.capabilities.includes("completion"),
    ),
    modified_at: since,
  });
}

/** Progress lines, or the last one alone with `stream: false`. */
function progress(exchange: Exchange, world: World, lines: readonly unknown[], done: () => void): void {
  if (fields(exchange.body)["stream"] === false) {
    done();
    exchange.json(lines.at(-1));
    return;
  }
  exchange.startStream("application/x-ndjson");
  let at = 0;
  const next = (): void => {
    const line = `${JSON.stringify(lines[at])}\n`;
    at += 1;
    if (at < lines.length) {
      exchange.frame(line);
      timer = world.clock.after(5, next);
    } else {
      done();
      exchange.finish(line);
    }
  };
  let timer = world.clock.after(0, next);
  exchange.onClose(() => timer.cancel());
}

/** `POST /api/pull`: a model whose name contains `missing` is not in the registry. */
export function pullModel(exchange: Exchange, world: World): void {
  const name = nameOf(exchange.body);
  if (name === "") return exchange.error({ status: 400, message: "model is required" });
  if (name.includes("missing")) {
    const message = "pull model manifest: file does not exist";
    if (fields(exchange.body)["stream"] === false) return exchange.error({ status: 500, message });
    exchange.startStream("application/x-ndjson");
    return exchange.failStream({ status: 500, message });
  }
  const model = resolveModel({ name: tagged(name) });
  const layer = {
    status: `pulling ${model.digest.slice(0, 12)}`,
    digest: `sha256:${model.digest}`,
    total: model.sizeBytes,
  };
  const lines = [
    { status: "pulling manifest" },
    layer,
    ...[0.25, 0.5, 0.75, 1].map((share) => ({ ...layer, completed: Math.round(model.sizeBytes * share) })),
    { status: "verifying sha256 digest" },
    { status: "writing manifest" },
    { status: "success" },
  ];
  progress(exchange, world, lines, () => {
    if (findOllamaModel(world, name) === undefined) world.models.set(model.name, sized(world, model));
  });
}

/** A new model runs on an engine like the others'. */
function sized(world: World, model: Model): Model {
  const [other] = world.models.values();
  return other === undefined ? model : { ...model, engine: other.engine, loadMs: other.loadMs };
}

function tagged(name: string): string {
  return name.includes(":") ? name : `${name}:latest`;
}

/** `POST /api/push`. */
export function pushModel(exchange: Exchange, world: World): void {
  const name = nameOf(exchange.body);
  const model = findOllamaModel(world, name);
  if (model === undefined) return exchange.error({ status: 404, message: `model '${name}' not found` });
  const layer = {
    status: `pushing ${model.digest.slice(0, 12)}`,
    digest: `sha256:${model.digest}`,
    total: model.sizeBytes,
  };
  const lines = [
    { status: "retrieving manifest" },
    layer,
    { ...layer, completed: model.sizeBytes },
    { status: "pushing manifest" },
    { status: "success" },
  ];
  progress(exchange, world, lines, () => undefined);
}

/** `POST /api/create`: from another model, or from files whose blobs were uploaded. */
export function createModel(exchange: Exchange, world: World, blobs: ReadonlySet<string>): void {
  const name = nameOf(exchange.body);
  if (name === "") return exchange.error({ status: 400, message: "model is required" });
  const { from, files } = fields(exchange.body);
  const base = findOllamaModel(world, text(from) ?? "");
  const missing = Object.values(fields(files)).find(
    (digest) => typeof digest !== "string" || !blobs.has(digest),
  );
  if (base === undefined && !isFields(files)) {
    if (text(from) !== undefined)
      return exchange.error({ status: 404, message: `model '${text(from)}' not found` });
    return exchange.error({ status: 400, message: "neither 'from' or 'files' was specified" });
  }
  if (missing !== undefined) return exchange.error({ status: 400, message: `invalid digest format` });
  const model = resolveModel({ ...base, name: tagged(name) });
  const lines = [
    { status: "reading model metadata" },
    { status: "creating system layer" },
    { status: "writing manifest" },
    { status: "success" },
  ];
  progress(
    exchange,
    world,
    lines,
    () =>
      void world.models.set(
        model.name,
        base === undefined ? sized(world, model) : { ...model, engine: base.engine },
      ),
  );
}

/** `POST /api/copy`. */
export function copyModel(exchange: Exchange, world: World): void {
  const { source, destination } = fields(exchange.body);
  const model = findOllamaModel(world, text(source) ?? "");
  if (model === undefined)
    return exchange.error({ status: 404, message: `model "${text(source) ?? ""}" not found` });
  const name = tagged(text(destination) ?? "");
  world.models.set(name, { ...model, name });
  exchange.text("", {});
}

/** `DELETE /api/delete`. */
export function deleteModel(exchange: Exchange, world: World): void {
  const name = nameOf(exchange.body);
  const model = findOllamaModel(world, name);
  if (model === undefined) return exchange.error({ status: 404, message: `model '${name}' not found` });
  world.host.unload(model.name);
  world.models.delete(model.name);
  exchange.text("", {});
}

/** `POST /api/blobs/:digest`. The body must have the digest. */
export function putBlob(exchange: Exchange, digest: string, blobs: Set<string>): void {
  const real = `sha256:${createHash("sha256").update(exchange.rawBody).digest("hex")}`;
  if (digest !== real)
    return exchange.error({ status: 400, message: `digest mismatch, expected "${digest}", got "${real}"` });
  blobs.add(digest);
  exchange.text("", { status: 201 });
}
