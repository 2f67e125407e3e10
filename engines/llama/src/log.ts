/** Log lines for the gateway: one JSON object a line on standard error. */

/** How bad it is. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes an event with its fields. */
export type Log = (level: LogLevel, event: string, fields?: Readonly<Record<string, unknown>>) => void;

/** A log on standard error, as worker processes write it. */
export function createJsonLog(): Log {
  return (level, event, fields = {}) => {
    process.stderr.write(`${JSON.stringify({ level, event, ...fields })}\n`);
  };
}
