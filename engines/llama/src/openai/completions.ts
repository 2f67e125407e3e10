/** `POST /v1/completions`. */
import { randomUUID } from "node:crypto";
import type { Fields } from "../fields.ts";
import { answerJson, Stream } from "../http/answer.ts";
import type { EngineRoute } from "../http/server.ts";
import type { Generation, GenerationEvents } from "../port.ts";
import type { Outcome, Service } from "../service.ts";
import { openaiErrorBody } from "./error-body.ts";
import { readMaxTokens, readSampling, readStops, readStreaming, readTarget } from "./read-sampling.ts";
import { openaiUsage, seconds } from "./usage.ts";

/** OpenAI's default for completions. */
const defaultMaxTokens = 16;

/** The route. */
export function completionsRoute(service: Service): EngineRoute {
  return {
    method: "POST",
    path: "/v1/completions",
    errorBody: openaiErrorBody,
    async handle({ fields, response, signal }) {
      const call = { ...readTarget(fields), signal };
      const generation = readCompletion(fields);
      const { stream: streams, includeUsage } = readStreaming(fields);
      const head = {
        id: `cmpl-${randomUUID()}`,
        object: "text_completion",
        created: seconds(service.now()),
        model: call.model,
      };
      const choice = (text: string, finish: Outcome["finish"] | null) => {
        return { index: 0, text, logprobs: null, finish_reason: finish };
      };
      if (!streams) {
        let whole = "";
        const outcome = await service.generate(
          call,
          generation,
          textOnly((text) => void (whole += text)),
        );
        const choices = [choice(whole, outcome.finish)];
        answerJson(response, { ...head, choices, usage: openaiUsage(outcome) });
        return;
      }
      const stream = new Stream(response, "events");
      const usage = includeUsage ? { usage: null } : {};
      const send = (text: string, finish: Outcome["finish"] | null = null): void =>
        stream.send({ ...head, choices: [choice(text, finish)], ...usage });
      const outcome = await service.generate(call, generation, textOnly(send));
      send("", outcome.finish);
      if (includeUsage) stream.send({ ...head, choices: [], usage: openaiUsage(outcome) });
      stream.end();
    },
  };
}

function readCompletion(fields: Fields): Generation {
  fields.refuse("n", [1]);
  fields.refuse("best_of", [1]);
  fields.refuse("echo");
  fields.refuse("suffix", [""]);
  fields.refuse("logprobs");
  fields.refuse("logit_bias", []);
  const prompts = fields.texts("prompt");
  if (prompts?.length !== 1) throw fields.wrong("prompt", "expected one text");
  return {
    prompt: { kind: "text", text: prompts[0] ?? "" },
    sampling: readSampling(fields),
    maxTokens: readMaxTokens(fields) ?? defaultMaxTokens,
    stop: readStops(fields),
    format: undefined,
    think: true,
  };
}

/** Completions have neither reasoning nor tools. */
function textOnly(text: (text: string) => void): GenerationEvents {
  return { text, thought: text, call: () => {} };
}
