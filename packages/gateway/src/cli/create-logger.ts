/** The logger a command writes to standard error with. */
import type { CompiledConfig } from "../config/index.ts";
import type { LogLevel } from "../contracts/telemetry.ts";
import { systemClock } from "../core/clock.ts";
import { createLogger, type LevelledLogger } from "../telemetry/index.ts";
import type { Terminal } from "./terminal.ts";

/** `auto` is pretty where a person watches, else JSON. */
export function createTerminalLogger(log: CompiledConfig["log"], terminal: Terminal): LevelledLogger {
  const { interactiveErrors } = terminal;
  const automatic = interactiveErrors ? "pretty" : "json";
  return createLogger({
    level: levelOf(log),
    format: log.format === "auto" ? automatic : log.format,
    colours: interactiveErrors,
    clock: systemClock,
    write: terminal.complain,
  });
}

/** The level that a configuration asks for; `info` where logs are all there is. */
export function levelOf({ level, format }: CompiledConfig["log"]): LogLevel {
  return level ?? (format === "json" ? "info" : "warn");
}
