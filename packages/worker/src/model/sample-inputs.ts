/** Made-up inputs for warm-up and calibration: the same every time. */
import { bytesOf, datatypeBytes, elementCount, encodeBytesElements } from "@spillway/protocol/tensors";
import { createSeededRandom } from "../random.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";

/** Size given to a free dimension that is not the first. */
const freeDimension = 8;

const sampleText = new TextEncoder().encode("a sample text of a few words");

/**
 * One tensor a spec with that many rows. Floats lie in [0, 1); whole numbers are 0 or 1, so that they
 * are valid indices; texts are a few words.
 */
export function sampleInputs(specs: readonly TensorSpec[], rows: number, seed = 1): Tensor[] {
  const random = createSeededRandom(seed);
  return specs.map((spec) => {
    const shape = spec.shape.map((size, index) => (size >= 0 ? size : index === 0 ? rows : freeDimension));
    return {
      name: spec.name,
      datatype: spec.datatype,
      shape,
      data: sampleData(spec, elementCount(shape), random),
    };
  });
}

function sampleData(spec: TensorSpec, count: number, random: () => number): Uint8Array {
  switch (spec.datatype) {
    case "FP32":
      return bytesOf(fillRandom(new Float32Array(count), random));
    case "FP64":
      return bytesOf(fillRandom(new Float64Array(count), random));
    case "BYTES":
      return encodeBytesElements(Array.from({ length: count }, () => sampleText));
    case "FP16":
      // 0x3800 is 0.5.
      return bytesOf(new Uint16Array(count).fill(0x3800));
    case "BF16":
      return bytesOf(new Uint16Array(count).fill(0x3f00));
    default:
      return sampleIntegers(count, datatypeBytes[spec.datatype], random);
  }
}

/** So many different values, again and again: a large batch of pictures is made in no time. */
const period = 4_099;

function fillRandom<Values extends Float32Array | Float64Array>(
  values: Values,
  random: () => number,
): Values {
  const first = Math.min(period, values.length);
  for (let index = 0; index < first; index++) values[index] = random();
  for (let filled = first; filled < values.length; filled *= 2) values.copyWithin(filled, 0, filled);
  return values;
}

/** Little-endian zeros and ones: the low byte of each element says which. */
function sampleIntegers(count: number, size: number, random: () => number): Uint8Array {
  const data = new Uint8Array(count * size);
  for (let index = 0; index < count; index++) data[index * size] = random() < 0.5 ? 0 : 1;
  return data;
}
