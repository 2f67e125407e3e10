/** Log lines: one line an event, JSON for machines or text for a terminal. */
import { logLevels, type LogFields, type Logger, type LogLevel } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";

/** Texts in fields are cut to this many characters, so that a line has a bound. */
const maxTextLength = 2_000;

const levelColours: Readonly<Record<LogLevel, string>> = {
  error: "\u001B[31m",
  warn: "\u001B[33m",
  info: "\u001B[36m",
  debug: "\u001B[90m",
};

/** How to log. */
export interface LoggerOptions {
  /** The quietest level that is written. */
  readonly level: LogLevel;
  /** Takes one line with its newline. */
  readonly write: (line: string) => void;
  readonly clock: Pick<Clock, "wallNow">;
  /** `json`: one object a line, keys `time` (ISO 8601), `level`, `event` first. `pretty`: time, level, event, `key=value`. */
  readonly format: "json" | "pretty";
  /** Colour codes around the level of a pretty line; default no. */
  readonly colours?: boolean;
}

/** A logger whose level may change. */
export interface LevelledLogger extends Logger {
  readonly level: LogLevel;
  /** The quietest level that is written from now on. */
  setLevel(level: LogLevel): void;
}

/** Makes a logger. A level that is not written costs one call of an empty function. */
export function createLogger(options: LoggerOptions): LevelledLogger {
  const { write, clock } = options;
  const format =
    options.format === "json" ? formatJson : options.colours === true ? formatColoured : formatPretty;
  const writersTo = (quietest: LogLevel): Omit<Logger, "level"> & { readonly level: LogLevel } => {
    const writer = (level: LogLevel): Logger[LogLevel] => {
      if (logLevels.indexOf(level) > logLevels.indexOf(quietest)) return nothing;
      return (event, fields) => write(format(clock.wallNow(), level, { event, fields: fields ?? {} }));
    };
    return {
      level: quietest,
      error: writer("error"),
      warn: writer("warn"),
      info: writer("info"),
      debug: writer("debug"),
    };
  };
  const logger = {
    ...writersTo(options.level),
    setLevel: (level: LogLevel): void => void Object.assign(logger, writersTo(level)),
  };
  return logger;
}

function nothing(): void {}

interface LogEvent {
  readonly event: string;
  readonly fields: LogFields;
}

function bounded(value: string): string {
  return value.length <= maxTextLength ? value : `${value.slice(0, maxTextLength)}…`;
}

function formatJson(wallMs: number, level: LogLevel, { event, fields }: LogEvent): string {
  const line: Record<string, unknown> = { time: new Date(wallMs).toISOString(), level, event };
  for (const [name, value] of Object.entries(fields)) {
    line[name in line ? `${name}_` : name] = typeof value === "string" ? bounded(value) : value;
  }
  return `${JSON.stringify(line)}\n`;
}

function formatPretty(wallMs: number, level: LogLevel, event: LogEvent): string {
  return prettyLine(wallMs, level.padEnd(5), event);
}

function formatColoured(wallMs: number, level: LogLevel, event: LogEvent): string {
  return prettyLine(wallMs, `${levelColours[level]}${level.padEnd(5)}\u001B[39m`, event);
}

function prettyLine(wallMs: number, level: string, { event, fields }: LogEvent): string {
  let line = `${new Date(wallMs).toISOString().slice(11, 23)} ${level} ${event}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) line += ` ${name}=${showValue(value)}`;
  }
  return `${line}\n`;
}

/** Texts that hold blanks, quotes or control characters are quoted, so that a line stays one line. */
function showValue(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  const text = bounded(value);
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text);
}
