/** What a JSON text would cost, told without parsing it. */

/** Bounds of a JSON text. */
export interface JsonLimits {
  /** Arrays and objects inside each other. */
  readonly maxDepth: number;
  /**
   * Numbers, and what else takes as much memory: an array, an object or a member counts as four. One
   * takes up to 32 bytes while a text is parsed. A thread that runs out of memory inside the parser
   * would end the whole process, so this is what keeps a small text of `[],[],…` from doing it.
   */
  readonly maxValues: number;
}

/** 64 levels, since tensors have at most 32; 8 Mi values, at most 256 MiB. */
export const defaultJsonLimits: JsonLimits = { maxDepth: 64, maxValues: 8 * 1024 * 1024 };

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;

/** A bound that a text breaks. */
export type BrokenLimit = keyof JsonLimits;

/**
 * The first bound that the text breaks, or undefined. Reads what stands outside of strings; a text
 * that is no JSON gives some answer and is left to the parser.
 */
export function scanJson(text: Uint8Array, limits: JsonLimits): BrokenLimit | undefined {
  let depth = 0;
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i] ?? 0;
    // Digits, points and minus signs: most of a tensor.
    if (byte > comma && byte < colon) continue;
    if (byte === comma) values++;
    else if (byte === quote) {
      i = endOfString(text, i + 1);
      values++;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > limits.maxDepth) return "maxDepth";
      values += 4;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
    else if (byte === colon) values += 4;
    if (values > limits.maxValues) return "maxValues";
  }
  return undefined;
}

/** Position of the quote that ends the string, or of the end of the text. */
function endOfString(text: Uint8Array, from: number): number {
  for (let i = from; i < text.length; i++) {
    const byte = text[i];
    if (byte === quote) return i;
    if (byte === backslash) i++;
  }
  return text.length;
}
