/** The rules of the routing layer that come with Spillway. */
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import { httpGuard } from "./http-guard.ts";
import { match } from "./match.ts";
import { modelRewrite } from "./model-rewrite.ts";
import { retrieval } from "./retrieval.ts";
import { systemPrompt } from "./system-prompt.ts";
import { validate } from "./validate.ts";

/** All of them. */
export const ruleDefinitions: readonly PluginDefinition[] = [
  modelRewrite,
  match,
  validate,
  httpGuard,
  systemPrompt,
  retrieval,
];
