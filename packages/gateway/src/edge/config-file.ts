/** The document of `PUT /edge-config` in the data directory: it survives restarts until `spillway.yaml` says something else. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EdgeOptions } from "../contracts/edge-options.ts";
import { failure, type Failure } from "../core/errors.ts";
import type { SavedConfig } from "./runtime-config.ts";
import { isMissing, textOf, writeWholeFile } from "./whole-file.ts";

const fileName = "edge-config.json";

/** The file of one data directory, beside one configuration. */
export interface ConfigFile {
  /** Undefined where there is none, or where the configuration has been changed since; a failure where it cannot be read. */
  read(): Promise<SavedConfig | undefined | Failure>;
  /** Whole or not at all, and on the disk. Readable by its owner alone: it may hold tokens. */
  write(config: SavedConfig): Promise<Failure | undefined>;
}

/** The file of a folder. */
export function createConfigFile(folder: string, options: EdgeOptions): ConfigFile {
  const path = join(folder, fileName);
  const basis = createHash("sha256").update(JSON.stringify(options)).digest("hex");
  return {
    async read() {
      try {
        const value = JSON.parse(await readFile(path, "utf8")) as SavedConfig & { readonly basis?: unknown };
        return value.basis === basis ? value : undefined;
      } catch (error) {
        if (isMissing(error)) return undefined;
        return failure("storage_unavailable", `${path}: ${textOf(error)}`);
      }
    },
    write: (config) => writeWholeFile(folder, fileName, JSON.stringify({ basis, ...config })),
  };
}
