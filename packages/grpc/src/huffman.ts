/** Decoding of Huffman-coded header strings (RFC 7541 section 5.2 and appendix B). */
import { ConnectionError, http2Error } from "./http2-codes.ts";

/**
 * Length in bits of each symbol's code, 0–255 and the end-of-string symbol. The code is canonical:
 * codes of one length follow each other in the order of their symbols.
 */
// prettier-ignore
const codeLengths = [
  13,23,28,28,28,28,28,28,28,24,30,28,28,30,28,28,28,28,28,28,28,28,30,28,28,28,28,28,28,28,28,28,
  6,10,10,12,13,6,8,11,10,10,8,11,8,6,6,6,5,5,5,6,6,6,6,6,6,6,7,8,15,6,12,10,
  13,6,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,8,7,8,13,19,13,14,6,
  15,5,6,5,6,5,6,6,6,5,7,7,6,6,6,5,6,7,6,5,5,6,7,7,7,7,7,15,11,14,13,28,
  20,22,20,20,22,22,22,23,22,23,23,23,23,23,24,23,24,24,22,23,24,23,23,23,23,21,22,23,22,23,23,24,
  22,21,20,22,22,23,23,21,23,22,22,24,21,22,23,23,21,21,22,21,23,22,23,23,20,22,22,22,23,22,22,23,
  26,26,20,19,22,23,22,25,26,26,26,27,27,26,24,25,19,21,26,27,27,26,27,24,21,21,26,26,28,27,27,27,
  20,24,20,21,22,21,21,23,22,22,25,25,24,24,26,23,26,27,26,26,27,27,27,27,27,28,27,27,27,27,27,26,
  30,
];

const endOfString = 256;

/** The code as a binary tree: node n's children are at 2n and 2n+1; a leaf is −1 − symbol, 0 is not set. */
const tree = buildTree();

function buildTree(): Int16Array {
  const nodes = new Int16Array(1024);
  let used = 1;
  let code = 0;
  let codeBits = 0;
  const symbols = codeLengths.map((_, symbol) => symbol);
  symbols.sort((a, b) => (codeLengths[a] ?? 0) - (codeLengths[b] ?? 0) || a - b);
  for (const symbol of symbols) {
    const bits = codeLengths[symbol] ?? 0;
    code *= 2 ** (bits - codeBits);
    codeBits = bits;
    let node = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const slot = node * 2 + ((code >>> bit) & 1);
      if (nodes[slot] === 0) nodes[slot] = used++;
      node = nodes[slot] ?? 0;
    }
    nodes[node * 2 + (code & 1)] = -1 - symbol;
    code++;
  }
  return nodes;
}

/**
 * Decodes bytes `start` to `end`, one character a byte. Throws ConnectionError (COMPRESSION_ERROR) when
 * the padding is not the shortest run of ones or the end-of-string symbol occurs.
 */
export function decodeHuffman(bytes: Buffer, start: number, end: number): string {
  const out: number[] = [];
  let node = 0;
  let pendingBits = 0;
  let onlyOnes = true;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    for (let bit = 7; bit >= 0; bit--) {
      const value = (byte >>> bit) & 1;
      const next = tree[node * 2 + value] ?? 0;
      pendingBits++;
      if (value === 0) onlyOnes = false;
      if (next >= 0) {
        node = next;
        continue;
      }
      if (-1 - next === endOfString) throw invalid();
      out.push(-1 - next);
      node = 0;
      pendingBits = 0;
      onlyOnes = true;
    }
  }
  if (pendingBits > 7 || !onlyOnes) throw invalid();
  return Buffer.from(out).toString("latin1");
}

function invalid(): ConnectionError {
  return new ConnectionError(http2Error.compressionError, "invalid Huffman coding");
}
