/** `/v1/embeddings`, and the vectors behind every face's embeddings. */
import { splitTokens } from "../../engine/prompt.ts";
import { createRandom, hashText } from "../../random.ts";
import type { Exchange } from "../../server/exchange.ts";
import type { Model } from "../../model-spec.ts";
import { fields, items, number, text, texts } from "../fields.ts";
import type { OpenAiFlavour } from "./flavour.ts";
import { invalid } from "./read-chat.ts";

/** A unit vector that depends on model and text only. */
export function embed(input: string, model: Model, dimensions = model.embeddingLength): number[] {
  const random = createRandom(hashText(input) ^ model.salt);
  const vector = Array.from({ length: dimensions }, () => random.normal());
  const length = Math.hypot(...vector);
  return vector.map((each) => Math.fround(each / length));
}

/** Inputs of an embedding request: texts, or lists of token ids. */
export function embeddingInputs(input: unknown): string[] {
  const [first] = items(input);
  if (typeof first === "number") return [items(input).join(" ")];
  if (Array.isArray(first)) return items(input).map((ids) => items(ids).join(" "));
  return texts(input);
}

/** Calls `done` after the time the engine takes to read so many tokens, once the model is loaded. */
export function afterReading(
  exchange: Exchange,
  { flavour, model, tokens, keepAliveMs, refused, done }: Reading,
): void {
  const { host, clock } = flavour.world;
  let timer: { cancel(): void } | undefined;
  const claim = host.claim(model, {
    keepAliveMs,
    ready: () => {
      const took = model.engine.stepMs + tokens * model.engine.prefillMsPerToken;
      timer = clock.after(took, () => {
        claim?.release();
        done(took, claim?.loadedAfterMs ?? 0);
      });
    },
  });
  if (claim === undefined) refused();
  else
    exchange.onClose(() => {
      timer?.cancel();
      claim.release();
    });
}

/** What is read, and who hears of it. */
export interface Reading {
  readonly flavour: Pick<OpenAiFlavour, "world">;
  readonly model: Model;
  readonly tokens: number;
  readonly keepAliveMs?: number | undefined;
  refused: () => void;
  done: (tookMs: number, loadMs: number) => void;
}

/** Answers an embedding request. */
export function answerEmbeddings(exchange: Exchange, flavour: OpenAiFlavour): void {
  const body = fields(exchange.body);
  const name = text(body["model"]) ?? "";
  const found = flavour.find(name);
  if (found === undefined) {
    exchange.error(flavour.missing(name));
    return;
  }
  const inputs = embeddingInputs(body["input"]);
  if (inputs.length === 0) {
    exchange.error(invalid("Missing required parameter: 'input'.", "input"));
    return;
  }
  const tokens = inputs.reduce((sum, input) => sum + splitTokens(input).length, 0);
  const dimensions = number(body["dimensions"]);
  const base64 = body["encoding_format"] === "base64";
  const write = (input: string): unknown => {
    const vector = embed(input, found.model, dimensions);
    return base64 ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector;
  };
  const refused = (): void => exchange.error(flavour.overloaded);
  const done = (): void => {
    exchange.record.tokens = 0;
    exchange.json(
      {
        object: "list",
        data: inputs.map((input, index) => ({ object: "embedding", embedding: write(input), index })),
        model: name,
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      },
      { headers: flavour.headers(exchange) },
    );
  };
  afterReading(exchange, { flavour, model: found.model, tokens, refused, done });
}
