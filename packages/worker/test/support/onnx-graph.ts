/**
 * Writes ONNX files of a few nodes with inputs and outputs of any datatype, for tests of what ONNX Runtime
 * makes of them. Field numbers and enum values are those of onnx.proto3
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 */

/** TensorProto.DataType by the v2 datatype. */
const elementTypes = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
  BF16: 16,
} as const;

/** An input or output; a dimension that is a word is free. */
export interface GraphPort {
  readonly name: string;
  readonly datatype: keyof typeof elementTypes;
  readonly shape: readonly (number | string)[];
  /** A list of such tensors instead of one. */
  readonly sequence?: boolean;
}

/** An operator; attributes are whole numbers. */
export interface GraphNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, number>>;
}

/** A whole model. */
export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly inputs: readonly GraphPort[];
  readonly outputs: readonly GraphPort[];
}

/** The bytes of an ONNX file (IR 8, opset 13). */
export function buildGraph(graph: Graph): Uint8Array {
  const body = Buffer.concat([
    ...graph.nodes.map((node) => field(1, nodeBytes(node))),
    field(2, "graph"),
    ...graph.inputs.map((port) => field(11, portBytes(port))),
    ...graph.outputs.map((port) => field(12, portBytes(port))),
  ]);
  return Buffer.concat([
    number(1, 8),
    field(7, body),
    field(8, Buffer.concat([field(1, ""), number(2, 13)])),
  ]);
}

/** A model that answers each input `x0, x1, …` of the given datatypes as `y0, y1, …`, shape [N, 2]. */
export function buildTypedIdentity(datatypes: readonly GraphPort["datatype"][]): Uint8Array {
  return buildGraph({
    nodes: datatypes.map((_, index) => ({
      operator: "Identity",
      inputs: [`x${index}`],
      output: `y${index}`,
    })),
    inputs: datatypes.map((datatype, index) => ({ name: `x${index}`, datatype, shape: ["N", 2] })),
    outputs: datatypes.map((datatype, index) => ({ name: `y${index}`, datatype, shape: ["N", 2] })),
  });
}

function nodeBytes({ operator, inputs, output, attributes = {} }: GraphNode): Buffer {
  const named = Object.entries(attributes).map(([name, value]) =>
    // AttributeProto: name, i, type INT.
    field(5, Buffer.concat([field(1, name), number(3, value), number(20, 2)])),
  );
  return Buffer.concat([
    ...inputs.map((name) => field(1, name)),
    field(2, output),
    field(4, operator),
    ...named,
  ]);
}

function portBytes({ name, datatype, shape, sequence = false }: GraphPort): Buffer {
  const dimensions = shape.map((size) =>
    field(1, typeof size === "number" ? number(1, size) : field(2, size)),
  );
  const tensorType = Buffer.concat([number(1, elementTypes[datatype]), field(2, Buffer.concat(dimensions))]);
  const type = field(1, tensorType);
  return Buffer.concat([field(1, name), field(2, sequence ? field(4, field(1, type)) : type)]);
}

function field(tag: number, content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([varint(tag * 8 + 2), varint(bytes.length), bytes]);
}

function number(tag: number, value: number): Buffer {
  return Buffer.concat([varint(tag * 8), varint(value)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
