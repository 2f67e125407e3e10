/** `GET /v1/models`. */
import { answerJson } from "../http/answer.ts";
import type { EngineRoute } from "../http/server.ts";
import type { ModelStore } from "../models/model-store.ts";
import { openaiErrorBody } from "./error-body.ts";
import { seconds } from "./usage.ts";

/** The route. */
export function modelsRoute(store: ModelStore): EngineRoute {
  return {
    method: "GET",
    path: "/v1/models",
    errorBody: openaiErrorBody,
    async handle({ response }) {
      const models = await store.list();
      const data = models.map(({ name, modifiedMs }) => {
        return { id: name, object: "model", created: seconds(modifiedMs), owned_by: "spillway" };
      });
      answerJson(response, { object: "list", data });
    },
  };
}
