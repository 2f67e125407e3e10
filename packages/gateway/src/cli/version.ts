/** The version of Spillway. */
import { readFileSync } from "node:fs";

/** As package.json says. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return manifest.version;
}
