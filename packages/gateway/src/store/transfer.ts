/** Memory of pictures that moves between threads instead of being copied. */

/** The memory behind pictures in answers, each once. Slices of Node's shared pool stay and are copied. */
export function transferOf(values: readonly unknown[]): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  for (const value of values) collect(value, found);
  return [...found];
}

function collect(value: unknown, found: Set<ArrayBuffer>): void {
  if (typeof value !== "object" || value === null) return;
  if ("items" in value && Array.isArray(value.items)) for (const item of value.items) collect(item, found);
  if ("picture" in value) collect(value.picture, found);
  if (!("bytes" in value) || !(value.bytes instanceof Uint8Array)) return;
  const { buffer } = value.bytes;
  if (buffer instanceof ArrayBuffer && fillsBuffer(value.bytes)) found.add(buffer);
}

/** Whether bytes have a buffer to themselves. */
function fillsBuffer(bytes: Uint8Array): boolean {
  return bytes.byteLength === bytes.buffer.byteLength && bytes.byteLength > Buffer.poolSize;
}

/** Bytes as memory that can be handed over: themselves with `handOver` where they fill their buffer, else a copy. */
export function movable(bytes: Uint8Array, handOver: boolean): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (handOver && buffer instanceof ArrayBuffer && fillsBuffer(bytes)) return new Uint8Array(buffer);
  return new Uint8Array(bytes);
}
