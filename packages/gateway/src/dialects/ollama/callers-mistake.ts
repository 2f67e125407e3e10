/** Errors of Ollama and llama.cpp with status 500 that are about what their caller sent, and say nothing about the server. */

/**
 * How these errors begin, or what they say behind the runner's own words, as Ollama 0.17 writes them: a `format` that
 * is none, an option of another type, a prompt without room for itself, pictures that cannot be read or that the
 * model has no eyes for. The last is llama.cpp's server of October 2026. In a JSON text, quotes are escaped.
 */
const mistakes = [
  /"invalid format: /,
  /"invalid JSON schema in format"/,
  /"option \\"[^"]{1,100}\\" must be of type /,
  /create new sequence: (?:no input provided|entire prompt removed by truncation)/,
  /failed to process inputs: (?:this model is missing data required for image input|image: unknown format|invalid image index|received zero length image|received image but vision model not loaded)/,
  /"(?:image|audio|video) input is not supported - hint: /,
] as const;

/** Bytes of an error body that are looked at. */
const lookedAt = 2_048;

/** True for the body of such an answer, at Ollama's own addresses and at those of other APIs that it serves. */
export function isCallersMistake(status: number, body: Uint8Array): boolean {
  if (status !== 500) return false;
  const text = Buffer.from(body.subarray(0, lookedAt)).toString("utf8");
  return mistakes.some((mistake) => mistake.test(text));
}
