/**
 * Message classes and file descriptors of what is in proto/, and the typed form of tensors. How raw tensors lie in
 * memory is `@spillway/protocol/tensors`, which loads none of this.
 *
 * `inference.X.encode(fields).finish()` gives bytes; `inference.X.decode(bytes)` gives a message whose
 * `bytes` fields are views into the input, and throws an Error on malformed input. Field names are in
 * camelCase. 64-bit fields are numbers (rounded beyond ±2^53), except `int64Contents` and
 * `uint64Contents`, which are bigints.
 */

/** Messages of package `inference`: KServe v2 with Triton's extensions, and `ModelInference`; `grpc` holds `health.v1`, `reflection.v1` and `reflection.v1alpha`. */
export { grpc, inference } from "./gen/protocol.js";

/** For server reflection and method tables. */
export { fileDescriptors, methods } from "./gen/descriptors.js";
export type { FileDescriptor, MethodDescriptor } from "./gen/descriptors.js";

export { fieldHead } from "./field-head.ts";
export { contentsField, rawContents } from "./typed-contents.ts";
