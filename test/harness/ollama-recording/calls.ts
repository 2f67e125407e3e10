/** What is asked of a real Ollama. */

/** One call. */
export interface Call {
  /** Of the file that keeps it. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called with the number of pieces that have come. */
  readonly onPiece?: (count: number) => void;
}

/** What the calls speak of. */
export interface CallParts {
  /** A model file, and its digest with the prefix `sha256:`. */
  readonly file: Buffer;
  readonly digest: string;
  /** `host:port` of a registry. */
  readonly registry: string;
  /** Ends the process that computes. */
  readonly killRunner: () => void;
}

const model = "tiny";
const messages = [{ role: "user", content: "Say ä word" }];
const options = { num_predict: 6 };
const schema = { type: "object", properties: { sunny: { type: "boolean" } }, required: ["sunny"] };
const tools = [
  {
    type: "function",
    function: { name: "forecast", description: "weather", parameters: { type: "object", properties: {} } },
  },
];

function post(name: string, path: string, body: object | string): Call {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { name, method: "POST", path, body: text, headers: { "content-type": "application/json" } };
}

function get(name: string, path: string, method = "GET"): Call {
  return { name, method, path };
}

/** In their order: the model is made first and removed last. */
export function calls({ file, digest, registry, killRunner }: CallParts): readonly Call[] {
  const crash: Call = {
    ...post("chat-runner-killed", "/api/chat", { model, messages, options: { num_predict: 100_000 } }),
    onPiece: (count) => void (count === 3 && killRunner()),
  };
  return [
    ...making(file, digest),
    ...native(),
    ...openai(),
    ...anthropic(),
    crash,
    ...leaving(registry),
    ...coming(registry),
  ];
}

function making(file: Buffer, digest: string): Call[] {
  const upload = { method: "POST", headers: { "content-type": "application/octet-stream" } };
  const nothing = `sha256:${"0".repeat(64)}`;
  const parameters = { temperature: 0, num_ctx: 256, seed: 1 };
  return [
    get("root", "/"),
    get("root-head", "/", "HEAD"),
    get("version", "/api/version"),
    get("blob-missing", `/api/blobs/${nothing}`, "HEAD"),
    { ...upload, name: "blob-upload", path: `/api/blobs/${digest}`, body: file },
    { ...upload, name: "blob-wrong", path: `/api/blobs/${nothing}`, body: file },
    get("blob-there", `/api/blobs/${digest}`, "HEAD"),
    get("blob-no-digest", "/api/blobs/sha256:00", "HEAD"),
    post("create", "/api/create", { model, files: { "tiny.gguf": digest }, parameters }),
    post("create-without-blob", "/api/create", { model: "none", files: { "a.gguf": nothing } }),
    post("create-whole", "/api/create", { model: "other", from: model, system: "Be brief", stream: false }),
    get("tags", "/api/tags"),
    post("chat-load", "/api/chat", { model, messages: [] }),
    get("ps", "/api/ps"),
    post("show", "/api/show", { model }),
    post("show-missing", "/api/show", { model: "none" }),
  ];
}

function native(): Call[] {
  const chat = (name: string, more: object): Call =>
    post(`chat-${name}`, "/api/chat", { model, messages, options, ...more });
  const generate = (name: string, more: object): Call =>
    post(`generate-${name}`, "/api/generate", { model, prompt: "Say ä word", options, ...more });
  return [
    chat("stream", {}),
    chat("whole", { stream: false }),
    chat("schema", { stream: false, format: schema, options: {} }),
    chat("schema-stream", { format: schema, options: {} }),
    chat("tools-refused", { tools }),
    chat("thinking-refused", { think: true }),
    chat("option-wrong", { options: { num_predict: "x" } }),
    chat("format-wrong", { format: "yaml" }),
    chat("image", { messages: [{ role: "user", content: "x", images: ["aGVsbG8="] }], stream: false }),
    chat("too-long", {
      messages: [{ role: "user", content: "word ".repeat(400) }],
      stream: false,
      truncate: false,
    }),
    chat("missing", { model: "none" }),
    post("chat-cut-json", "/api/chat", '{"model":"tiny","messages":[{"role"'),
    post("chat-no-model", "/api/chat", { messages }),
    get("chat-get", "/api/chat"),
    get("no-such-address", "/api/nothing"),
    generate("stream", {}),
    generate("whole", { stream: false }),
    generate("raw", { raw: true, stream: false }),
    generate("suffix-refused", { suffix: "x" }),
    generate("missing", { model: "none" }),
    post("generate-load", "/api/generate", { model }),
    post("embed-one", "/api/embed", { model, input: "a" }),
    post("embed-two", "/api/embed", { model, input: ["a", "b"], dimensions: 4 }),
    post("embed-missing", "/api/embed", { model: "none", input: "a" }),
    post("embed-wrong", "/api/embed", { model, input: 3 }),
    post("embeddings", "/api/embeddings", { model, prompt: "a" }),
  ];
}

function openai(): Call[] {
  const chat = (name: string, more: object): Call =>
    post(`openai-${name}`, "/v1/chat/completions", { model, messages, max_tokens: 6, ...more });
  return [
    chat("chat", {}),
    chat("stream", { stream: true }),
    chat("stream-usage", { stream: true, stream_options: { include_usage: true } }),
    chat("missing", { model: "none" }),
    chat("tools-refused", { tools }),
    post("openai-cut-json", "/v1/chat/completions", "{"),
    post("openai-completion", "/v1/completions", { model, prompt: "a", max_tokens: 4 }),
    post("openai-completion-stream", "/v1/completions", { model, prompt: "a", max_tokens: 4, stream: true }),
    post("openai-embeddings", "/v1/embeddings", { model, input: ["a", "b"] }),
    post("openai-responses", "/v1/responses", { model, input: "a", max_output_tokens: 4 }),
    post("openai-responses-stream", "/v1/responses", {
      model,
      input: "a",
      max_output_tokens: 4,
      stream: true,
    }),
    get("openai-models", "/v1/models"),
    get("openai-model", "/v1/models/tiny"),
    get("openai-model-missing", "/v1/models/none"),
  ];
}

function anthropic(): Call[] {
  const ask = (name: string, more: object): Call =>
    post(`anthropic-${name}`, "/v1/messages", { model, messages, max_tokens: 6, ...more });
  return [
    ask("message", {}),
    ask("stream", { stream: true }),
    ask("missing", { model: "none" }),
    ask("no-max-tokens", { max_tokens: undefined }),
    post("anthropic-count", "/v1/messages/count_tokens", { model, messages }),
  ];
}

function remove(name: string, of: string): Call {
  return { ...post(name, "/api/delete", { model: of }), method: "DELETE" };
}

/** The model goes to a registry, and then from the server. */
function leaving(registry: string): Call[] {
  const away = `${registry}/library/tiny:latest`;
  return [
    post("copy", "/api/copy", { source: model, destination: away }),
    post("copy-missing", "/api/copy", { source: "none", destination: "x" }),
    post("push", "/api/push", { model: away, insecure: true }),
    post("push-missing", "/api/push", { model: "none" }),
    post("chat-unload", "/api/chat", { model, messages: [], keep_alive: 0 }),
    remove("delete", model),
    remove("delete-missing", "none"),
    remove("delete-copy", away),
    remove("delete-other", "other"),
  ];
}

/** It comes back. */
function coming(registry: string): Call[] {
  const away = `${registry}/library/tiny:latest`;
  const unreachable = "localhost:1/library/x";
  const pull = (name: string, body: object): Call => post(`pull-${name}`, "/api/pull", body);
  return [
    pull("new", { model: away, insecure: true, stream: true }),
    pull("there", { model: away, insecure: true, stream: true }),
    pull("no-manifest", { model: `${registry}/library/none`, insecure: true, stream: true }),
    pull("unreachable", { model: unreachable, insecure: true, stream: true }),
    pull("unreachable-whole", { model: unreachable, insecure: true, stream: false }),
    pull("no-name", { model: "", stream: true }),
    remove("delete-pulled", away),
  ];
}
