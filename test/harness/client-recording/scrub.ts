/** Takes out of a recorded call what is somebody's: texts, keys, names of machines and sessions. What is left is its form. */

/** One call of a client, as `test/fixtures/clients` keeps it. */
export interface RecordedCall {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: unknown;
}

/** Headers that say how a client speaks its API, by their beginning. */
const kept = [
  "accept",
  "content-type",
  "anthropic-",
  "openai-",
  "user-agent",
  "originator",
  "x-app",
] as const;
const dropped = new Set(["accept-encoding", "openai-organization", "openai-project"]);

/** Longest text that is kept, characters: long enough for names and words of the API. */
const keptLength = 48;
const texts = new Set(["description", "instructions", "title", "user_id", "device_id", "prompt_cache_key"]);
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** The call without what is somebody's. */
export function scrub(call: RecordedCall): RecordedCall {
  const headers = Object.entries(call.headers).filter(
    ([name]) => !dropped.has(name) && kept.some((begin) => name.startsWith(begin)),
  );
  return { ...call, headers: Object.fromEntries(headers), body: scrubbed(call.body, "") };
}

function scrubbed(value: unknown, name: string): unknown {
  if (typeof value === "string") return scrubText(value, name);
  if (Array.isArray(value)) return value.map((each: unknown) => scrubbed(each, name));
  if (typeof value !== "object" || value === null) return value;
  // What a client says of itself there is a name and a text.
  if (name === "client_metadata") return Object.fromEntries(Object.keys(value).map((key) => [key, "x"]));
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, scrubbed(each, key)]));
}

function scrubText(text: string, name: string): string {
  const isKept = text.length <= keptLength && !texts.has(name) && !text.includes("/");
  if (isKept || (name === "data" && text.length < 1_000) || isAddress(text))
    return text.replaceAll(uuid, "00000000-0000-4000-8000-000000000000");
  return name === "arguments" ? "{}" : `${text.length} characters`;
}

/** Media types, and addresses of schemas and pictures in base64. */
function isAddress(text: string): boolean {
  return (
    /^(https:\/\/json-schema\.org\/|image\/|application\/|text\/|data:image\/)/.test(text) &&
    text.length < 1_000
  );
}
