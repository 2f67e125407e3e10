/** Texts as the contents of BYTES tensors. */
import { encodeBytesElements } from "@spillway/protocol/tensors";

/** Contents from texts, as UTF-8. */
export function encodeTexts(texts: readonly string[]): Uint8Array {
  return encodeBytesElements(texts.map((text) => Buffer.from(text, "utf8")));
}
