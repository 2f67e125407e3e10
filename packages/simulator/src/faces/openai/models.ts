/** `/v1/models`. */
import type { Exchange } from "../../server/exchange.ts";
import type { Model } from "../../model-spec.ts";
import { createdAt } from "./flavour.ts";
import type { OpenAiFlavour } from "./flavour.ts";

/** All models and their adapters. */
export function listModels(exchange: Exchange, flavour: OpenAiFlavour): void {
  const data = [...flavour.world.models.values()].flatMap((model) => [
    describe(model.name, model, flavour),
    ...model.adapters.map((adapter) => describe(adapter, model, flavour)),
  ]);
  exchange.json({ object: "list", data }, { headers: flavour.headers(exchange) });
}

/** One model. */
export function showModel(exchange: Exchange, flavour: OpenAiFlavour, name: string): void {
  const found = flavour.find(name);
  if (found === undefined) exchange.error(flavour.missing(name));
  else exchange.json(describe(name, found.model, flavour), { headers: flavour.headers(exchange) });
}

function describe(id: string, model: Model, flavour: OpenAiFlavour): Record<string, unknown> {
  const base = { id, object: "model", created: createdAt(flavour.world), owned_by: flavour.owner };
  if (flavour.name !== "vllm") return base;
  const adapter = id !== model.name;
  return {
    ...base,
    root: id,
    parent: adapter ? model.name : null,
    ...(!adapter && { max_model_len: model.engine.maxContext }),
    permission: [],
  };
}
