/** What Ollama refuses since it does not fit the types that it reads bodies into. */
import type { ErrorAnswer } from "../../server/exchange.ts";
import { fields, isFields, items } from "../fields.ts";
import type { Fields } from "../fields.ts";

const OPTIONS: Readonly<Record<string, string>> = {
  temperature: "float32",
  top_p: "float32",
  min_p: "float32",
  typical_p: "float32",
  repeat_penalty: "float32",
  presence_penalty: "float32",
  frequency_penalty: "float32",
  top_k: "integer",
  seed: "integer",
  num_predict: "integer",
  num_keep: "integer",
  num_ctx: "integer",
  repeat_last_n: "integer",
};
const EFFORTS: readonly unknown[] = ["high", "medium", "low", "", true, false, undefined, null];

/** What is wrong with a body of `/api/chat` or `/api/generate`; undefined: nothing that is known here. */
export function checkOllama(body: Fields): ErrorAnswer | undefined {
  const wrong =
    checkThink(body["think"]) ??
    checkFormat(body["format"]) ??
    checkOptions(fields(body["options"])) ??
    checkImages(body["images"], "GenerateRequest") ??
    checkMessages(items(body["messages"]));
  return wrong === undefined ? undefined : { status: 400, message: wrong };
}

function checkThink(think: unknown): string | undefined {
  return EFFORTS.includes(think)
    ? undefined
    : `invalid think value: ${JSON.stringify(think)} (must be "high", "medium", "low", true, or false)`;
}

function checkFormat(format: unknown): string | undefined {
  const isKnown =
    format === undefined || format === null || format === "" || format === "json" || isFields(format);
  return isKnown
    ? undefined
    : `invalid format: ${JSON.stringify(format)}; expected "json" or a valid JSON Schema object`;
}

function checkOptions(options: Fields): string | undefined {
  for (const [name, value] of Object.entries(options)) {
    const type = OPTIONS[name];
    if (type !== undefined && value !== null && typeof value !== "number")
      return `option "${name}" must be of type ${type}`;
    if (name === "stop" && !(Array.isArray(value) && value.every((each) => typeof each === "string")))
      return 'option "stop" must be of an array of strings';
  }
  return undefined;
}

function checkMessages(messages: readonly unknown[]): string | undefined {
  for (const each of messages) {
    const message = fields(each);
    const content = message["content"] ?? "";
    if (typeof content !== "string") return mistyped(content, "ChatRequest.messages.content", "string");
    for (const call of items(message["tool_calls"])) {
      const given = fields(fields(call)["function"])["arguments"];
      if (given !== undefined && !isFields(given))
        return mistyped(
          given,
          "ChatRequest.messages.tool_calls.function.arguments",
          "map[string]interface {}",
        );
    }
    const wrong = checkImages(message["images"], "ChatRequest.messages");
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function checkImages(images: unknown, place: string): string | undefined {
  if (images === undefined || images === null) return undefined;
  if (!Array.isArray(images)) return mistyped(images, `${place}.images`, "[]api.ImageData");
  const bad = images.some((each) => !/^[A-Za-z0-9+/]*={0,2}$/.test(String(each)));
  return bad ? "illegal base64 data at input byte 4" : undefined;
}

/** As Go's `encoding/json` says it. */
function mistyped(value: unknown, place: string, type: string): string {
  const kind = Array.isArray(value) ? "array" : typeof value;
  return `json: cannot unmarshal ${kind} into Go struct field ${place} of type ${type}`;
}
