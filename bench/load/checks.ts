/** Checks that a load specification can name; each export makes one from its options. */
import { buildBodies } from "./bodies.ts";
import type { TensorBodySpec } from "./bodies.ts";
import type { ResponseCheck } from "./load-spec.ts";

/** Every body is this text. */
export function equalsBody(options: { readonly text: string }): ResponseCheck {
  const expected = Buffer.from(options.text);
  return ({ body }) => body.equals(expected);
}

/**
 * Every answer of the binary tensor data extension is one tensor, byte for byte the one that was sent, and says its size.
 * `options` is the body of the load's only request, of kind `v2-binary`.
 */
export function returnsTensor(options: TensorBodySpec): ResponseCheck {
  const size = options.shape.reduce((product, dimension) => product * dimension, 4);
  const tensors = buildBodies(options).map(({ bytes }) => bytes.subarray(bytes.length - size));
  return ({ request, body }) => {
    const start = body.length - size;
    const sent = tensors[request % tensors.length];
    if (sent === undefined || start < 0 || !body.subarray(start).equals(sent)) return false;
    const sizes = [...body.toString("utf8", 0, start).matchAll(/"binary_data_size" *: *(\d+)/g)];
    return sizes.length === 1 && sizes[0]?.[1] === String(size);
  };
}
