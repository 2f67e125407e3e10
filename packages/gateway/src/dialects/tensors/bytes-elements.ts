/** Contents of BYTES tensors: each element a 32-bit little-endian length and that many bytes. */

/** The elements as views, or undefined when the lengths do not add up. */
export function splitElements(data: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const elements: Uint8Array[] = [];
  for (let offset = 0; offset < data.length;) {
    if (offset + 4 > data.length) return undefined;
    const start = offset + 4;
    offset = start + view.getUint32(offset, true);
    if (offset > data.length) return undefined;
    elements.push(data.subarray(start, offset));
  }
  return elements;
}

/** How many elements there are, or undefined when the lengths do not add up. */
export function countElements(data: Uint8Array): number | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let count = 0;
  let offset = 0;
  while (offset + 4 <= data.length) {
    offset += 4 + view.getUint32(offset, true);
    count++;
  }
  return offset === data.length ? count : undefined;
}

/** Contents from elements. */
export function joinElements(elements: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const element of elements) size += 4 + element.length;
  const data = new Uint8Array(size);
  const view = new DataView(data.buffer);
  let offset = 0;
  for (const element of elements) {
    view.setUint32(offset, element.length, true);
    data.set(element, offset + 4);
    offset += 4 + element.length;
  }
  return data;
}

/** Contents from texts, as UTF-8. */
export function joinTexts(texts: readonly string[]): Uint8Array {
  return joinElements(texts.map((text) => Buffer.from(text, "utf8")));
}
