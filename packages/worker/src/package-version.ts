/** The version of this package, for server metadata. */
import manifest from "../package.json" with { type: "json" };

/** As in package.json. */
export const packageVersion: string = manifest.version;
