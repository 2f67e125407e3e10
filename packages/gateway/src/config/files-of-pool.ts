/** The files that a pool reads when it is made. */
import { isHttpPool, type PoolOptions } from "../contracts/options.ts";

/** Of its credentials, headers, authorities and certificates: absolute. The file of endpoints, which the pool follows itself, is none of them. */
export function filesOfPool(pool: PoolOptions): readonly string[] {
  if (!isHttpPool(pool)) return pool.ca === undefined ? [] : [pool.ca];
  const { credentials, headers, ca, data } = pool;
  const secrets = [credentials, ...headers.map(([, value]) => value)].map((secret) => secret?.file);
  const { metrics } = data ?? {};
  return [...secrets, ca, metrics?.ca, metrics?.clientCert, metrics?.clientKey].filter(
    (file) => file !== undefined,
  );
}
