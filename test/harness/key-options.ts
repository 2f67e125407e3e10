/** API keys for tests. */
import type { KeyLimits, KeyOptions } from "../../packages/gateway/src/contracts/options.ts";
import { createSecret, digestSecret, formatKey } from "../../packages/gateway/src/core/api-key.ts";

/** A key and what the gateway is told of it. */
export interface TestKey {
  readonly key: string;
  readonly options: KeyOptions;
  /** The headers that carry it. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Makes a key with the scope `infer` and without limits, unless `more` and `limits` say otherwise. */
export function makeKey(
  id: string,
  more: Partial<Omit<KeyOptions, "limits">> = {},
  limits: Partial<KeyLimits> = {},
): TestKey {
  const secret = createSecret();
  const key = formatKey(id, secret);
  const none = {
    requestsPerMinute: undefined,
    burst: undefined,
    tokensPerMinute: undefined,
    concurrency: undefined,
  };
  const options: KeyOptions = {
    id,
    secretSha256: digestSecret(secret),
    scopes: ["infer"],
    limits: { ...none, ...limits },
    expiresAtMs: undefined,
    models: undefined,
    ...more,
  };
  return { key, options, headers: { authorization: `Bearer ${key}` } };
}
