/** Keys for gateways that are configured by text. */
import { createSecret, digestSecret, formatKey } from "../../packages/gateway/src/core/api-key.ts";
import type { Scope } from "../../packages/gateway/src/core/request.ts";

/** A key and its entry in `auth.keys` of spillway.yaml. */
export interface TextKey {
  readonly key: string;
  readonly yaml: string;
}

/** A new key; without `models` it may use all. */
export function makeKey(
  id: string,
  scopes: readonly Scope[] = ["infer"],
  models?: readonly string[],
): TextKey {
  const secret = createSecret();
  const options = { id, secret: `sha256:${digestSecret(secret)}`, scopes, models };
  return { key: formatKey(id, secret), yaml: JSON.stringify(options) };
}
