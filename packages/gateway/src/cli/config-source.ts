/** Where `spillway serve` reads its configuration from again. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { ConfigSource, TakenConfig } from "../app/config-source.ts";
import { systemClock } from "../core/clock.ts";
import { defaultFile, readConfigAgain, type Overrides } from "./serve-config.ts";
import type { Terminal } from "./terminal.ts";

/** What the command line said, and which file it came to; undefined: none was there. */
export interface ServedConfig {
  readonly overrides: Overrides;
  readonly file: string | undefined;
  readonly onTaken: ConfigSource["onTaken"] & {};
}

/** Where there was no file, one that appears where it is looked for is taken, and from then on has to be there. */
export function createConfigSource(served: ServedConfig, terminal: Terminal): ConfigSource {
  const { overrides, onTaken } = served;
  let { file } = served;
  const path = resolve(terminal.workingDirectory, file ?? defaultFile);
  const startedAgoMs = process.uptime() * 1_000;
  return {
    name: file ?? defaultFile,
    files: [path],
    readSince: systemClock.wallNow() - startedAgoMs,
    async read() {
      const result = await readConfigAgain({ file, overrides }, terminal);
      if ("config" in result) file ??= existsSync(path) ? defaultFile : undefined;
      return result;
    },
    onTaken,
  };
}

/** One line for who watches; undefined: there is nothing to tell. */
export function tellTaken({ changed, waiting }: TakenConfig): string | undefined {
  if (changed.length === 0 && waiting.length === 0) return undefined;
  const done = changed.length === 0 ? "" : ` now other: ${changed.join(", ")}.`;
  const left = waiting.length === 0 ? "" : ` After a restart: ${waiting.join(", ")}.`;
  return `Configuration read again;${done}${left}\n`;
}
