/** Gives large memory back by hand. */

/**
 * Frees the memory behind `bytes` now. What is left to the garbage collector piles up instead: memory outside the
 * heap brings collections about, and fresh memory is slower than what was just in use. For the only owner: every
 * view of the memory is empty afterwards, and nothing native (a write under way, zlib) may still use it. A view of
 * part of a buffer is left as it is, since others may use the rest.
 */
export function freeMemory(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && !buffer.detached && buffer.byteLength === bytes.byteLength)
    buffer.transfer(0);
}
