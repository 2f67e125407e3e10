/** Brings the keys of configuration and keys file into the ring, and keeps them as the file has them. */
import { loadKeys } from "../config/index.ts";
import type { AccessOptions } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { KeyRing } from "../stages/admission/key-ring.ts";
import { WatchedFiles } from "./watched-files.ts";

/** How often the file is looked at: a revoked key is refused within twice that. */
const pollMs = 500;

/** What keeping keys needs. */
export interface KeyKeeping {
  readonly access: AccessOptions;
  readonly ring: KeyRing;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Loads the keys; rejects with a `GatewayError` where their file is wrong. From then on a file that is
 * wrong, or gone, changes nothing and is logged. Undefined where there is nothing to watch.
 */
export async function keepKeys({
  access,
  ring,
  clock,
  logger,
}: KeyKeeping): Promise<WatchedFiles | undefined> {
  const { keys, keysFile } = access;
  ring.replace(keys);
  if (keysFile === undefined) return undefined;
  let isStarting = true;
  const files = new WatchedFiles({
    clock,
    files: [keysFile],
    everyMs: pollMs,
    load: async () => {
      const result = await loadKeys({ file: keysFile, inline: keys });
      if ("errors" in result) throw new GatewayError("internal", result.errors.join("\n"));
      if (result.missing && !isStarting) throw new GatewayError("internal", `${keysFile} is gone`);
      ring.replace([...keys, ...result.keys]);
      if (!isStarting) logger.info("keys_changed", { file: keysFile, keys: ring.size });
      isStarting = false;
    },
    onProblem: (error) =>
      logger.error("keys_not_read", {
        file: keysFile,
        error: error instanceof Error ? error.message : String(error),
        kept: ring.size,
      }),
  });
  await files.start();
  return files;
}
