// docs/reference/dialects.md.
import type { ChatDialect } from "../../../packages/gateway/src/core/forward.ts";
import { callerApis, fieldRows, type CallerApi, type FieldRow, type Outcome } from "../dialects/outcome.ts";
import { banner, code, table } from "./markdown.ts";

const serverNames: Readonly<Record<ChatDialect, string>> = {
  ollama: "Ollama",
  openai: "OpenAI-compatible",
  anthropic: "Anthropic",
};

/** The page of what translation carries. */
export function dialectsPage(): string {
  return `${banner}# What translation carries

Where a model's server speaks the caller's API, the bytes go through as they are, and none of this matters. Where it
speaks another ([which is when](../guides/dialects.md#what-goes-where)), each field of a request is one of

- **yes**: said in the server's words;
- **dropped**: left out, because the server has nothing of the kind and the answer is one to the same question;
- **400**: refused before anything is sent, by a message that names the field.

The fields are those of the npm clients \`openai\`, \`@anthropic-ai/sdk\` and \`ollama\`, and a few that vLLM adds. A
field that is not here is a 400, except that Ollama's callers may send anything that Ollama itself would ignore. This page
is made by translating an example of each.

${callerApis.map(section).join("\n")}`;
}

function section(api: CallerApi): string {
  const header = ["Field", ...api.servers.map((dialect) => `${serverNames[dialect]} server`)];
  return `## ${api.title}\n\n${table(header, fieldRows(api).map(cells))}`;
}

function cells({ field, example, outcomes }: FieldRow): string[] {
  const label = example.label === undefined ? code(field) : `${code(field)}: ${example.label}`;
  return [label, ...outcomes.map(cellOf)];
}

function cellOf(outcome: Outcome): string {
  if (outcome === "carried") return "yes";
  return outcome === "dropped" ? outcome : "400";
}
