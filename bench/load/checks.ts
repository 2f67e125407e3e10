/** Checks that a load specification can name; each export makes one from its options. */
import type { ResponseCheck } from "./load-spec.ts";

/** Every body is this text. */
export function equalsBody(options: { readonly text: string }): ResponseCheck {
  const expected = Buffer.from(options.text);
  return ({ body }) => body.equals(expected);
}
