/** Log lines: one JSON object a line on standard error. */

/** From chatty to grave. */
export const logLevels = ["debug", "info", "warn", "error"] as const;

/** How grave a line is. */
export type LogLevel = (typeof logLevels)[number];

/** Values a line may carry. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Writes a line: what happened, in snake case, and its details. No request contents. */
export type WorkerLog = (level: LogLevel, event: string, fields?: LogFields) => void;

/** A log that writes lines of at least that level: `{"level","event",…}`. */
export function createJsonLog(
  minimum: LogLevel,
  write = (line: string) => void process.stderr.write(line),
): WorkerLog {
  const threshold = logLevels.indexOf(minimum);
  return (level, event, fields) => {
    if (logLevels.indexOf(level) >= threshold) write(`${JSON.stringify({ level, event, ...fields })}\n`);
  };
}

/** A log that is thrown away. */
export const silentLog: WorkerLog = () => {};
