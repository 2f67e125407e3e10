/** How deep a JSON text is nested, told without parsing it. */

const quote = 0x22;
const backslash = 0x5c;

/**
 * Whether arrays and objects nest deeper than `maxDepth`. Reads brackets outside strings and stops
 * at the first one too deep; a text that is no JSON gives some answer and is left to the parser.
 */
export function nestsDeeper(text: Uint8Array, maxDepth: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i];
    if (byte === quote) i = endOfString(text, i + 1);
    // `[` and `{`, `]` and `}` differ in one bit.
    else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > maxDepth) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return false;
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
