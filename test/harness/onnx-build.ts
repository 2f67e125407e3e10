/**
 * Writes small ONNX files byte by byte, with seeded random weights: models of any size for tests and benchmarks.
 * Field numbers and enum values are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 */

/** Options of {@link buildMlp}. */
export interface MlpOptions {
  /** Widths from input to output, at least two: `[64, 32, 10]` has one hidden layer of 32. */
  readonly layers: readonly number[];
  /** Same seed and layers, same bytes. Any integer; only its low 32 bits count. */
  readonly seed: number;
  /** Default `x`. */
  readonly inputName?: string;
  /** Default `y`. */
  readonly outputName?: string;
  /** End with a softmax over the classes. Default false: the answers are the last layer's sums. */
  readonly softmax?: boolean;
}

/** Options of {@link buildIdentity}. */
export interface IdentityOptions {
  /** Values in a row. */
  readonly width: number;
  /** Default `x`. */
  readonly inputName?: string;
  /** Default `y`. */
  readonly outputName?: string;
}

/** Options of {@link buildConvNet}. */
export interface ConvNetOptions {
  /** Height and width of the pictures. */
  readonly size: number;
  /** Output channels of each convolution, at least one; each halves height and width, rounding up. */
  readonly channels: readonly number[];
  /** Width of the output. */
  readonly classes: number;
  /** Same seed and shape, same bytes. Any integer; only its low 32 bits count. */
  readonly seed: number;
  /** Default `x`. */
  readonly inputName?: string;
  /** Default `y`. */
  readonly outputName?: string;
  /** End with a softmax over the classes. Default false: the answers are the last layer's sums. */
  readonly softmax?: boolean;
}

/** One fully connected layer: `sum[o] = bias[o] + Σ_i input[i] · weights[i · outputs + o]`. */
export interface DenseLayer {
  readonly inputs: number;
  readonly outputs: number;
  /** Row-major, `inputs` rows of `outputs` values. */
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

/**
 * The weights {@link buildMlp} writes for the same layers and seed, so that an answer can be calculated by other means.
 * Throws RangeError unless there are at least two widths, all positive integers.
 */
export function mlpWeights({ layers, seed }: Pick<MlpOptions, "layers" | "seed">): DenseLayer[] {
  if (layers.length < 2) throw new RangeError(`an MLP needs at least two widths, got ${layers.length}`);
  layers.forEach((width) => requireSize("width", width));
  const random = seededBits(seed);
  return layers.slice(1).map((outputs, index) => dense(random, layers[index]!, outputs));
}

/**
 * A chain of Gemm nodes with Relu between them. Input FP32 `[N, first width]`, output FP32 `[N, last width]`, `N` dynamic.
 * Throws as {@link mlpWeights} does.
 */
export function buildMlp(options: MlpOptions): Uint8Array<ArrayBuffer> {
  const { inputName = "x", outputName = "y", softmax = false } = options;
  const layers = mlpWeights(options);
  const nodes: Bytes[] = [];
  let current = inputName;
  layers.forEach((_, index) => {
    const last = index === layers.length - 1;
    const sum = last && !softmax ? outputName : `sum${index}`;
    nodes.push(node("Gemm", [current, `weights${index}`, `bias${index}`], sum));
    current = last ? sum : `hidden${index}`;
    if (!last) nodes.push(node("Relu", [sum], current));
  });
  if (softmax) nodes.push(node("Softmax", [current], outputName, [integer("axis", 1)]));
  return model({
    nodes,
    initializers: layers.flatMap((layer, index) => denseTensors(layer, index)),
    input: { name: inputName, shape: [layers[0]!.inputs] },
    output: { name: outputName, shape: [layers.at(-1)!.outputs] },
  });
}

/**
 * One Identity node: FP32 `[N, width]` comes back as it went in, `N` dynamic.
 * Throws RangeError unless `width` is a positive integer.
 */
export function buildIdentity({
  width,
  inputName = "x",
  outputName = "y",
}: IdentityOptions): Uint8Array<ArrayBuffer> {
  requireSize("width", width);
  return model({
    nodes: [node("Identity", [inputName], outputName)],
    initializers: [],
    input: { name: inputName, shape: [width] },
    output: { name: outputName, shape: [width] },
  });
}

/**
 * 3×3 convolutions of stride 2 with Relu, then the mean of each channel and one fully connected layer.
 * Input FP32 `[N, 3, size, size]`, output FP32 `[N, classes]` (sums, unless `softmax` is set), `N` dynamic.
 * Throws RangeError unless every size is a positive integer and there is at least one convolution.
 */
export function buildConvNet(options: ConvNetOptions): Uint8Array<ArrayBuffer> {
  const { size, channels, classes, seed, inputName = "x", outputName = "y", softmax = false } = options;
  if (channels.length === 0) throw new RangeError("a convolution stack needs at least one convolution");
  [size, classes, ...channels].forEach((value) => requireSize("size", value));
  const random = seededBits(seed);
  const nodes: Bytes[] = [];
  const initializers: Bytes[] = [];
  let current = inputName;
  let depth = 3;
  channels.forEach((outputs, index) => {
    const [kernel, bias] = [`kernel${index}`, `shift${index}`];
    initializers.push(
      tensor(
        kernel,
        [outputs, depth, 3, 3],
        uniform(random, outputs * depth * 9, Math.sqrt(6 / (depth * 9))),
      ),
      tensor(bias, [outputs], uniform(random, outputs, BIAS_LIMIT)),
    );
    nodes.push(node("Conv", [current, kernel, bias], `map${index}`, CONVOLUTION));
    nodes.push(node("Relu", [`map${index}`], `active${index}`));
    current = `active${index}`;
    depth = outputs;
  });
  nodes.push(node("GlobalAveragePool", [current], "means"));
  nodes.push(node("Flatten", ["means"], "flat", [integer("axis", 1)]));
  nodes.push(node("Gemm", ["flat", "weights0", "bias0"], softmax ? "sums" : outputName));
  if (softmax) nodes.push(node("Softmax", ["sums"], outputName, [integer("axis", 1)]));
  return model({
    nodes,
    initializers: [...initializers, ...denseTensors(dense(random, depth, classes), 0)],
    input: { name: inputName, shape: [3, size, size] },
    output: { name: outputName, shape: [classes] },
  });
}

// Weights

/** Biases lie in ±this: enough to be noticed when they are lost, too little to drown the weights. */
const BIAS_LIMIT = 0.1;

function requireSize(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${name} must be a positive integer, got ${value}`);
}

/**
 * A generator of signed 32-bit integers: a Weyl sequence (step 2^32 / golden ratio) through the 32-bit finalizer of
 * MurmurHash3. Neighbouring seeds give unrelated sequences: the seed is mixed first.
 */
function seededBits(seed: number): () => number {
  let state = mix(seed | 0);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    return mix(state);
  };
}

function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

/** `count` values, evenly spread over ±limit. */
function uniform(random: () => number, count: number, limit: number): Float32Array {
  const values = new Float32Array(count);
  const scale = limit / 2 ** 31;
  for (let i = 0; i < count; i++) values[i] = random() * scale;
  return values;
}

/** With weights in ±√(6/inputs), values keep their magnitude through any number of Relu layers. */
function dense(random: () => number, inputs: number, outputs: number): DenseLayer {
  const weights = uniform(random, inputs * outputs, Math.sqrt(6 / inputs));
  return { inputs, outputs, weights, bias: uniform(random, outputs, BIAS_LIMIT) };
}

function denseTensors({ inputs, outputs, weights, bias }: DenseLayer, index: number): Bytes[] {
  return [tensor(`weights${index}`, [inputs, outputs], weights), tensor(`bias${index}`, [outputs], bias)];
}

// ONNX messages

/** IR 8 and opset 13 are old enough for every runtime of the last years and have all operators used here. */
const IR_VERSION = 8;
const OPSET_VERSION = 13;
/** TensorProto.DataType.FLOAT. */
const FLOAT = 1;
/** AttributeProto.AttributeType. */
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;
const BATCH_DIMENSION = "N";

interface Port {
  readonly name: string;
  /** Without the batch dimension. */
  readonly shape: readonly number[];
}

interface Graph {
  readonly nodes: readonly Bytes[];
  readonly initializers: readonly Bytes[];
  readonly input: Port;
  readonly output: Port;
}

function model({ nodes, initializers, input, output }: Graph): Uint8Array<ArrayBuffer> {
  const graph = message(
    ...nodes.map((each) => embedded(1, each)),
    text(2, "graph"),
    ...initializers.map((each) => embedded(5, each)),
    embedded(11, port(input)),
    embedded(12, port(output)),
  );
  const file = message(
    varint(1, IR_VERSION),
    text(2, "spillway"),
    embedded(7, graph),
    embedded(8, message(text(1, ""), varint(2, OPSET_VERSION))),
  );
  return joined(file);
}

function node(
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: readonly Bytes[] = [],
): Bytes {
  return message(
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, operator),
    ...attributes.map((each) => embedded(5, each)),
  );
}

function integer(name: string, value: number): Bytes {
  return message(text(1, name), varint(3, value), varint(20, ATTRIBUTE_INT));
}

function integers(name: string, values: readonly number[]): Bytes {
  return message(text(1, name), ...values.map((value) => varint(8, value)), varint(20, ATTRIBUTE_INTS));
}

function tensor(name: string, dimensions: readonly number[], values: Float32Array): Bytes {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return message(
    ...dimensions.map((each) => varint(1, each)),
    varint(2, FLOAT),
    text(8, name),
    embedded(9, { parts: [raw], length: raw.length }),
  );
}

function port({ name, shape }: Port): Bytes {
  const dimensions = [text(2, BATCH_DIMENSION), ...shape.map((each) => varint(1, each))];
  const shapeMessage = message(...dimensions.map((each) => embedded(1, each)));
  const tensorType = message(varint(1, FLOAT), embedded(2, shapeMessage));
  return message(text(1, name), embedded(2, message(embedded(1, tensorType))));
}

// Protocol buffers (https://protobuf.dev/programming-guides/encoding/)

/** Bytes not yet joined, so that weights are copied once, into the finished file. */
interface Bytes {
  readonly parts: readonly Uint8Array[];
  readonly length: number;
}

function message(...fields: readonly Bytes[]): Bytes {
  return {
    parts: fields.flatMap((field) => field.parts),
    length: fields.reduce((sum, field) => sum + field.length, 0),
  };
}

function varint(field: number, value: number): Bytes {
  const bytes = Uint8Array.from([...varintBytes(field * 8), ...varintBytes(value)]);
  return { parts: [bytes], length: bytes.length };
}

function text(field: number, value: string): Bytes {
  const bytes = new TextEncoder().encode(value);
  return embedded(field, { parts: [bytes], length: bytes.length });
}

/** A length-delimited field: a message, a string or raw bytes. */
function embedded(field: number, content: Bytes): Bytes {
  const head = Uint8Array.from([...varintBytes(field * 8 + 2), ...varintBytes(content.length)]);
  return { parts: [head, ...content.parts], length: head.length + content.length };
}

/** Seven bits a byte, low ones first. Division, not shifts: lengths may pass 2^31. */
function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

function joined({ parts, length }: Bytes): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** 3×3, stride 2, padded by 1. */
const CONVOLUTION = [
  integers("kernel_shape", [3, 3]),
  integers("strides", [2, 2]),
  integers("pads", [1, 1, 1, 1]),
];
