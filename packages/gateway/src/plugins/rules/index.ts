/** The rules of the routing layer that come with Spillway. */
import type { PluginDefinition } from "../../contracts/plugins/plugin.ts";
import { match } from "./match.ts";
import { modelRewrite } from "./model-rewrite.ts";

/** All of them. */
export const ruleDefinitions: readonly PluginDefinition[] = [modelRewrite, match];
