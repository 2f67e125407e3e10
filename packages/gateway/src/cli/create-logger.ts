/** The logger a command writes to standard error with. */
import type { CompiledConfig } from "../config/index.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { systemClock } from "../core/clock.ts";
import { createLogger } from "../telemetry/index.ts";
import type { Terminal } from "./terminal.ts";

/** `auto` is pretty where a person watches, else JSON. The level defaults to `info` where logs are all there is. */
export function createTerminalLogger(log: CompiledConfig["log"], terminal: Terminal): Logger {
  const { interactiveErrors } = terminal;
  const automatic = interactiveErrors ? "pretty" : "json";
  return createLogger({
    level: log.level ?? (log.format === "json" ? "info" : "warn"),
    format: log.format === "auto" ? automatic : log.format,
    colours: interactiveErrors,
    clock: systemClock,
    write: terminal.complain,
  });
}
