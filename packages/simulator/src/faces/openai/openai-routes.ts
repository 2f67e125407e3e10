/** The addresses that every server with OpenAI's API has. */
import type { FaceRoute } from "../face.ts";
import { answerChat } from "./chat.ts";
import { answerCompletion } from "./completions.ts";
import { answerEmbeddings } from "./embeddings.ts";
import type { OpenAiFlavour } from "./flavour.ts";
import { listModels, showModel } from "./models.ts";

/** Chats, completions, embeddings and the list of models. */
export function openAiRoutes(flavour: OpenAiFlavour): FaceRoute[] {
  return [
    { method: "POST", path: "/v1/chat/completions", handle: (exchange) => answerChat(exchange, flavour) },
    { method: "POST", path: "/v1/completions", handle: (exchange) => answerCompletion(exchange, flavour) },
    { method: "POST", path: "/v1/embeddings", handle: (exchange) => answerEmbeddings(exchange, flavour) },
    { method: "GET", path: "/v1/models", handle: (exchange) => listModels(exchange, flavour) },
    {
      method: "GET",
      path: "/v1/models/*name",
      handle: (exchange, { name = "" }) => showModel(exchange, flavour, name),
    },
  ];
}
