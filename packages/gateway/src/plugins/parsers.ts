/** What requests may look like: parsers of the router that stand for APIs which the door for Envoy understands. */
import { z } from "zod";
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import { definePlugin } from "./define-plugin.ts";

/** The door understands every API that the gateway has: a parser that is named adds nothing, and takes nothing away. */
function parser(type: string, api: string): PluginDefinition {
  return definePlugin({
    type,
    kinds: ["parser"],
    summary: `Understands requests of ${api}, which the door does whether it is named or not`,
    parameters: z.strictObject({}),
    create: () => ({}),
  });
}

/** Parsers that are built in. */
export const parserPlugins: readonly PluginDefinition[] = [
  parser("openai-parser", "OpenAI's API"),
  parser("anthropic-parser", "Anthropic's API"),
];
