/** The version of this package, for server metadata. */
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

/** As in package.json, which lies beside both src and dist. */
export const packageVersion: string = manifest.version;
