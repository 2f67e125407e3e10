/**
 * Writes small GGUF files of version 3 with seeded random weights: language models of the architecture `llama` that talk
 * nonsense, for tests. Layout and keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
 */

/** Options of {@link buildGguf}. */
export interface GgufOptions {
  /** Same options, same bytes. Any integer; only its low 32 bits count. */
  readonly seed: number;
  /** Width of the hidden state, a multiple of 32. Default 32. */
  readonly width?: number;
  /** Default 1. */
  readonly layers?: number;
  /** Tokens the model claims to have been trained on. Default 2048. */
  readonly contextSize?: number;
}

/** What a value of the metadata is: its type's number in the format, and its bytes. */
interface Value {
  readonly type: number;
  readonly bytes: Buffer;
}

interface Tensor {
  readonly name: string;
  /** Fastest first. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const uint32Type = 4;
const int32Type = 5;
const float32Type = 6;
const boolType = 7;
const stringType = 8;
const arrayType = 9;
const alignment = 32;

/** Tokens: unknown, begin, end, the two marks of a turn, 256 bytes, then a blank and the printable characters. */
const controlTokens = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"];
const byteTokens = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
);
const printable = ["▁", ...Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))];
const vocabulary = [...controlTokens, ...byteTokens, ...printable];
const firstPrintable = controlTokens.length + byteTokens.length;

const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * The file. The model writes printable characters and never ends by itself when asked for the likeliest token: the
 * scores of all other tokens are 0, and of 95 random ones some is above.
 */
export function buildGguf(options: GgufOptions): Buffer {
  const { seed, width = 32, layers = 1, contextSize = 2_048 } = options;
  if (width % 32 !== 0 || width < 32) throw new RangeError(`width must be a multiple of 32, got ${width}`);
  const hidden = width * 2;
  const metadata: [string, Value][] = [
    ["general.architecture", text("llama")],
    ["general.name", text("nonsense")],
    ["general.alignment", uint32(alignment)],
    ["general.file_type", uint32(0)],
    ["llama.context_length", uint32(contextSize)],
    ["llama.embedding_length", uint32(width)],
    ["llama.block_count", uint32(layers)],
    ["llama.feed_forward_length", uint32(hidden)],
    ["llama.attention.head_count", uint32(2)],
    ["llama.attention.head_count_kv", uint32(2)],
    ["llama.attention.layer_norm_rms_epsilon", float32(1e-5)],
    ["llama.rope.dimension_count", uint32(width / 2)],
    ["llama.vocab_size", uint32(vocabulary.length)],
    ["tokenizer.ggml.model", text("llama")],
    ["tokenizer.ggml.tokens", list(vocabulary.map(text))],
    ["tokenizer.ggml.scores", list(vocabulary.map(() => float32(0)))],
    ["tokenizer.ggml.token_type", list(vocabulary.map((_, index) => int32(tokenType(index))))],
    ["tokenizer.ggml.unknown_token_id", uint32(0)],
    ["tokenizer.ggml.bos_token_id", uint32(1)],
    ["tokenizer.ggml.eos_token_id", uint32(4)],
    ["tokenizer.ggml.add_bos_token", bool(true)],
    ["tokenizer.chat_template", text(chatTemplate)],
  ];
  return joined(metadata, tensorsOf({ seed, width, layers, hidden }));
}

/** 1 normal, 2 unknown, 3 control, 6 byte. */
function tokenType(index: number): number {
  if (index === 0) return 2;
  if (index < controlTokens.length) return 3;
  return index < firstPrintable ? 6 : 1;
}

function tensorsOf(model: { seed: number; width: number; layers: number; hidden: number }): Tensor[] {
  const { width, layers, hidden } = model;
  const random = seededUnit(model.seed);
  const matrix = (name: string, inputs: number, outputs: number): Tensor => {
    const limit = Math.sqrt(3 / inputs);
    const values = Float32Array.from({ length: inputs * outputs }, () => (random() * 2 - 1) * limit);
    return { name, shape: [inputs, outputs], values };
  };
  const ones = (name: string): Tensor => ({ name, shape: [width], values: new Float32Array(width).fill(1) });
  const scores = matrix("output.weight", width, vocabulary.length);
  scores.values.fill(0, 0, firstPrintable * width);
  // Likeliest tokens stand out, as in trained models.
  scores.values.forEach((value, index) => (scores.values[index] = value * 8));
  const block = (layer: number): Tensor[] => [
    ones(`blk.${layer}.attn_norm.weight`),
    ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) =>
      matrix(`blk.${layer}.${name}.weight`, width, width),
    ),
    ones(`blk.${layer}.ffn_norm.weight`),
    matrix(`blk.${layer}.ffn_gate.weight`, width, hidden),
    matrix(`blk.${layer}.ffn_up.weight`, width, hidden),
    matrix(`blk.${layer}.ffn_down.weight`, hidden, width),
  ];
  return [
    matrix("token_embd.weight", width, vocabulary.length),
    ...Array.from({ length: layers }, (_, layer) => block(layer)).flat(),
    ones("output_norm.weight"),
    scores,
  ];
}

function joined(metadata: readonly [string, Value][], tensors: readonly Tensor[]): Buffer {
  const parts: Buffer[] = [
    Buffer.from("GGUF"),
    uint32(3).bytes,
    count(tensors.length),
    count(metadata.length),
  ];
  for (const [key, value] of metadata) parts.push(text(key).bytes, uint32(value.type).bytes, value.bytes);
  let offset = 0;
  for (const { name, shape, values } of tensors) {
    // Type 0 is F32; the offset counts from where the tensors' data begin.
    parts.push(
      text(name).bytes,
      uint32(shape.length).bytes,
      ...shape.map(count),
      uint32(0).bytes,
      count(offset),
    );
    offset += padded(values.byteLength);
  }
  const head = Buffer.concat(parts);
  const data = tensors.map(({ values }) => {
    const bytes = Buffer.alloc(padded(values.byteLength));
    Buffer.from(values.buffer, values.byteOffset, values.byteLength).copy(bytes);
    return bytes;
  });
  return Buffer.concat([head, Buffer.alloc(padded(head.length) - head.length), ...data]);
}

function padded(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}

/** Numbers from 0 to 1: a Weyl sequence through a 32-bit mixing function. */
function seededUnit(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
  };
}

function count(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function uint32(value: number): Value {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return { type: uint32Type, bytes };
}

function int32(value: number): Value {
  return { type: int32Type, bytes: uint32(value).bytes };
}

function float32(value: number): Value {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return { type: float32Type, bytes };
}

function bool(value: boolean): Value {
  return { type: boolType, bytes: Buffer.from([value ? 1 : 0]) };
}

function text(value: string): Value {
  const bytes = Buffer.from(value);
  return { type: stringType, bytes: Buffer.concat([count(bytes.length), bytes]) };
}

/** Values of one type; at least one. */
function list(values: readonly Value[]): Value {
  const type = values[0]?.type ?? uint32Type;
  const bytes = Buffer.concat([
    uint32(type).bytes,
    count(values.length),
    ...values.map((value) => value.bytes),
  ]);
  return { type: arrayType, bytes };
}
