/** What kind of picture a base64 text holds, for APIs that want to be told. */

/** First bytes of the picture formats that chat APIs take, in base64. */
const beginnings = [
  ["/9j/", "image/jpeg"],
  ["iVBORw", "image/png"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"],
] as const;

/** The media type by the first bytes; undefined for a format that no chat API names. */
export function imageMediaType(base64: string): string | undefined {
  return beginnings.find(([beginning]) => base64.startsWith(beginning))?.[1];
}
