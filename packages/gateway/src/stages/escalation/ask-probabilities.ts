/** Asks a server for log-probabilities, in a body that is written already. */
import { isFailure } from "../../core/errors.ts";
import { MemberFinder, type MemberSpans } from "../../dialects/json/member-spans.ts";
import { editBody, type Edit, type EditedBody } from "../../dialects/json/replace-span.ts";
import type { SignalWords } from "./answer-signals.ts";

/** Largest body that is looked into, bytes: it takes about a millisecond. */
const maxBodyBytes = 1_048_576;

const finder = new MemberFinder(["logprobs", "top_logprobs", "response_format", "format"]);

/** What a body says about its answer. */
export interface AskedBody {
  readonly sent: EditedBody;
  /** Log-probabilities were put in for us: the caller is not to see them. */
  readonly isAdded: boolean;
  /** What the answer has to be: any JSON (`true`), JSON that fits a schema; undefined: any text. */
  readonly schema: unknown;
}

/** Which of the two signals are wanted of the server. */
export interface Wanted {
  readonly logprobs: boolean;
  readonly alternatives: boolean;
}

/** `words`: of the server. What cannot be read, or is too large to be, goes as it is. */
export function askProbabilities(sent: EditedBody, words: SignalWords, wanted: Wanted): AskedBody {
  const body = joined(sent);
  const spans = body === undefined ? undefined : finder.find(body);
  if (spans === undefined || isFailure(spans)) return { sent, isAdded: false, schema: undefined };
  const schema = words === "ollama" ? ollamaSchema(spans.value(3)) : openAiSchema(spans.value(2));
  if (!wanted.logprobs || hasAsked(spans)) return { sent, isAdded: false, schema };
  const fields: Record<string, unknown> =
    words === "completions"
      ? { logprobs: wanted.alternatives ? 2 : 1 }
      : { logprobs: true, ...(wanted.alternatives ? { top_logprobs: 2 } : {}) };
  return { sent: withFields(spans, fields), isAdded: true, schema };
}

function joined({ body, rest = [] }: EditedBody): Uint8Array | undefined {
  const size = rest.reduce((all, { length }) => all + length, body.length);
  if (size > maxBodyBytes) return undefined;
  return rest.length === 0 ? body : Buffer.concat([body, ...rest]);
}

/** `false` and `null` are as good as nothing; `logprobs: 0` of completions asks for the tokens' own. */
function hasAsked(spans: MemberSpans): boolean {
  return spans.start(0) >= 0 && !spans.is(0, "false") && !spans.is(0, "null");
}

const names = ["logprobs", "top_logprobs"] as const;

/** Values that stand there are replaced, the others are put in front. */
function withFields(spans: MemberSpans, fields: Readonly<Record<string, unknown>>): EditedBody {
  const { bytes } = spans;
  const front = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("{") + 1;
  const edits: Edit[] = [];
  let added = "";
  for (const [index, name] of names.entries()) {
    if (fields[name] === undefined) continue;
    const text = JSON.stringify(fields[name]);
    const start = spans.start(index);
    if (start >= 0) edits.push({ start, end: spans.end(index), text });
    else added += `"${name}":${text},`;
  }
  return { rest: [], ...editBody(bytes, [...edits, { start: front, end: front, text: added }]) };
}

/** `response_format`. */
function openAiSchema(format: unknown): unknown {
  const { type, json_schema: named } = (format ?? {}) as {
    readonly type?: unknown;
    readonly json_schema?: unknown;
  };
  if (type === "json_object") return true;
  if (type !== "json_schema") return undefined;
  return (named as { readonly schema?: unknown } | undefined | null)?.schema ?? true;
}

/** `format`: `"json"` or a schema. */
function ollamaSchema(format: unknown): unknown {
  if (format === "json") return true;
  return typeof format === "object" && format !== null ? format : undefined;
}
