/** `curl` lines that fit the models that are there. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { EdgeDetectorOptions } from "../contracts/edge-options.ts";
import type { PooledModel } from "../contracts/http-endpoint.ts";
import type { ServedModel } from "../core/model.ts";
import { httpUrl, shortPath, type Addresses } from "./greeting.ts";

/** What the lines are made from. */
export interface TryContext {
  readonly listening: Addresses;
  /** Models that can answer, by name. */
  readonly models: readonly ServedModel[];
  /** Where samples of local models lie. */
  readonly repository: string | undefined;
  readonly workingDirectory: string;
  /** Callers need a key. */
  readonly needsKey?: boolean;
}

/** How many lines are printed besides those for chats. */
const maxLines = 3;

/** Two calls to a model that chats, one in each of the usual dialects. */
export function suggestChats(
  { listening, needsKey }: Pick<TryContext, "listening" | "needsKey">,
  model: string,
): string[] {
  const [address] = listening.http;
  if (address === undefined) return [];
  const url = httpUrl(address).replace(/^http:\/\//, "");
  const body = { model, messages: [{ role: "user", content: "Say hello" }] };
  const call = (path: string, data: unknown): string =>
    `curl -s ${url}${path} -H 'content-type: application/json' -d ${quote(JSON.stringify(data))}`;
  return withKey(
    [call("/api/chat", body), call("/v1/chat/completions", { ...body, stream: true })],
    needsKey,
  );
}

/** The model to try: one that is in memory before others, and none that only embeds. */
export function pickChatModel(models: readonly PooledModel[]): string | undefined {
  const chats = models.filter(({ name, ready }) => ready > 0 && !/embed|bge-|rerank/i.test(name));
  return (chats.find(({ loaded }) => loaded > 0) ?? chats[0])?.name;
}

/** At most three calls: one with features, one with a prompt, one with a picture, else what every model answers; without models of its own what is served by whom. */
export function suggestCalls(context: TryContext): string[] {
  const [address] = context.listening.http;
  if (address === undefined) return [];
  const url = httpUrl(address).replace(/^http:\/\//, "");
  if (context.models.length === 0)
    return withKey([`curl -s ${url}/`, `curl -s ${url}/v1/models`], context.needsKey);
  // A mock answers anything, but says nothing.
  const real = context.models.filter((model) => !model.mock);
  const lines = [
    firstLine(preferred(real, "iris"), (model) => featuresLine(url, model, context)),
    firstLine(preferred(real, "sentiment"), (model) => promptLine(url, model)),
    firstLine(preferred(real, "digits"), (model) => pictureLine(url, model, context)),
    ...context.models.map((model) => `curl -s ${url}/v2/models/${model.name}`),
    `curl -s ${url}/v2/health/ready`,
    `curl -s -X POST ${url}/v2/repository/index`,
    `curl -s ${url}/metrics`,
  ];
  const shown = lines.filter((line) => line !== undefined).slice(0, maxLines);
  return withKey(shown, context.needsKey);
}

/** A picture for a detector that a local model answers, where there is one with samples. */
export function suggestDetector(
  context: TryContext,
  detectors: readonly Pick<EdgeDetectorOptions, "id" | "model">[],
): string[] {
  const { http } = context.listening;
  // Every listener answers; a certificate is rarely one for localhost.
  const plain = http.filter(({ secure }) => secure !== true);
  const address = plain.find(({ edge }) => edge === true) ?? plain[0] ?? http[0];
  const names = new Set(context.models.map(({ name }) => name));
  const detector = detectors.find(({ model }) => model !== undefined && names.has(model.name));
  const sample = findSample(detector?.model?.name ?? "", /7\.(png|jpe?g|webp)$/, context);
  if (address === undefined || detector === undefined || sample === undefined) return [];
  const file = shortPath(sample, context.workingDirectory);
  const url = `${httpUrl(address).replace(/^http:\/\//, "")}/device-api/v1/image-queries?detector_id=${detector.id}`;
  const line = `curl -s ${quote(url)} -H 'content-type: ${pictureType(file)}' --data-binary ${quote(`@${file}`)}`;
  return withKey([line], context.needsKey);
}

function withKey(lines: string[], needsKey: boolean | undefined): string[] {
  if (needsKey !== true) return lines;
  return lines.map((line) => line.replace(/^curl -s/, 'curl -s -H "x-api-key: $SPILLWAY_KEY"'));
}

/** The models with the one of that name first. */
function preferred(models: readonly ServedModel[], name: string): readonly ServedModel[] {
  return models.toSorted((a, b) => Number(b.name === name) - Number(a.name === name));
}

function firstLine(
  models: readonly ServedModel[],
  write: (model: ServedModel) => string | undefined,
): string | undefined {
  for (const model of models) {
    const line = write(model);
    if (line !== undefined) return line;
  }
  return undefined;
}

function jsonCall(url: string, body: unknown): string {
  return `curl -s ${url}/predict -H 'content-type: application/json' -d ${quote(JSON.stringify(body))}`;
}

function featuresLine(url: string, model: ServedModel, context: TryContext): string | undefined {
  const input = model.inputs.find(({ name }) => name === model.mapping.features);
  if (input === undefined || model.task?.kind !== "classify") return undefined;
  const count = input.shape.at(-1) ?? -1;
  if (count < 1 || count > 16) return undefined;
  const features = sampleFeatures(model.name, context) ?? Array.from({ length: count }, () => 0);
  return jsonCall(url, { features, model_name: model.name });
}

/** The first sample's features, where the model comes with samples. */
function sampleFeatures(model: string, context: TryContext): unknown {
  const sample = findSample(model, /\.json$/, context);
  if (sample === undefined) return undefined;
  try {
    const value = JSON.parse(readFileSync(sample, "utf8")) as { features?: unknown } | null;
    return value?.features;
  } catch {
    return undefined;
  }
}

function promptLine(url: string, model: ServedModel): string | undefined {
  if (model.mapping.prompt === undefined || model.task?.kind !== "classify") return undefined;
  return jsonCall(url, { prompt: "I love it", model_name: model.name });
}

function pictureLine(url: string, model: ServedModel, context: TryContext): string | undefined {
  if (model.mapping.image === undefined) return undefined;
  const sample = findSample(model.name, /\.(png|jpe?g|webp)$/, context);
  const file = sample === undefined ? "picture.png" : shortPath(sample, context.workingDirectory);
  return `curl -s ${url}/v1/models/${model.name}:predict -H 'content-type: ${pictureType(file)}' --data-binary ${quote(`@${file}`)}`;
}

function pictureType(file: string): string {
  if (file.endsWith(".webp")) return "image/webp";
  return file.endsWith(".png") ? "image/png" : "image/jpeg";
}

function findSample(model: string, pattern: RegExp, { repository }: TryContext): string | undefined {
  if (repository === undefined) return undefined;
  const folder = join(repository, model, "samples");
  if (!existsSync(folder)) return undefined;
  const name = readdirSync(folder)
    .toSorted()
    .find((file) => pattern.test(file));
  return name === undefined ? undefined : join(folder, name);
}

/** As a POSIX shell takes it. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
