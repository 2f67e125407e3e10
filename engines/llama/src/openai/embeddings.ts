/** `POST /v1/embeddings`. */
import { answerJson } from "../http/answer.ts";
import type { EngineRoute } from "../http/server.ts";
import type { Service } from "../service.ts";
import { openaiErrorBody } from "./error-body.ts";
import { readTarget } from "./read-sampling.ts";

/** Most texts of one request. */
const maxTexts = 2_048;

/** The route. */
export function embeddingsRoute(service: Service): EngineRoute {
  return {
    method: "POST",
    path: "/v1/embeddings",
    errorBody: openaiErrorBody,
    async handle({ fields, response, signal }) {
      const call = { ...readTarget(fields), signal };
      fields.refuse("dimensions", []);
      const texts = fields.texts("input");
      if (texts === undefined || texts.length === 0) throw fields.wrong("input", "is required");
      if (texts.length > maxTexts) throw fields.wrong("input", `more than ${maxTexts} texts`);
      const format = fields.text("encoding_format") ?? "float";
      if (format !== "float" && format !== "base64")
        throw fields.wrong("encoding_format", "expected float or base64");
      const { vectors, promptTokens } = await service.embed(call, texts);
      const data = vectors.map((vector, index) => {
        const embedding = format === "float" ? vector : toBase64(vector);
        return { object: "embedding", index, embedding };
      });
      const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
      answerJson(response, { object: "list", data, model: call.model, usage });
    },
  };
}

/** Little-endian 32-bit floats. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes.toString("base64");
}
