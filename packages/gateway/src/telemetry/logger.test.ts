import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { logLevels } from "../contracts/telemetry.ts";
import { createLogger, type LoggerOptions } from "./logger.ts";

const clock = { wallNow: () => Date.UTC(2026, 1, 3, 4, 5, 6, 789) };

function logged(
  options: Partial<LoggerOptions>,
  log: (logger: ReturnType<typeof createLogger>) => void,
): string[] {
  const lines: string[] = [];
  log(createLogger({ level: "debug", format: "json", clock, write: (line) => lines.push(line), ...options }));
  return lines;
}

describe("JSON", () => {
  test("one object a line: time, level, event, fields", () => {
    const [line = ""] = logged({}, (logger) =>
      logger.warn("worker_ended", { pid: 7, reason: 'a\n"b"', gone: undefined }),
    );
    assert.equal(
      line,
      '{"time":"2026-02-03T04:05:06.789Z","level":"warn","event":"worker_ended","pid":7,"reason":"a\\n\\"b\\""}\n',
    );
  });

  test("a field cannot replace the line's own keys", () => {
    const [line = ""] = logged({}, (logger) => logger.info("loaded", { event: "x", level: "y" }));
    assert.deepEqual(JSON.parse(line), {
      time: "2026-02-03T04:05:06.789Z",
      level: "info",
      event: "loaded",
      event_: "x",
      level_: "y",
    });
  });

  test("long texts are cut", () => {
    const [line = ""] = logged({}, (logger) => logger.info("loaded", { text: "x".repeat(1_000_000) }));
    assert.ok(line.length < 2_200, `${line.length} characters`);
  });
});

describe("pretty", () => {
  test("values with blanks are quoted, the line stays one line", () => {
    const [line] = logged({ format: "pretty" }, (logger) =>
      logger.info("model_ready", {
        model: "iris",
        note: "two\nlines",
        ms: 12.5,
        cached: false,
        gone: undefined,
      }),
    );
    assert.equal(line, '04:05:06.789 info  model_ready model=iris note="two\\nlines" ms=12.5 cached=false\n');
  });

  test("colours only when asked for", () => {
    const log = (logger: ReturnType<typeof createLogger>) => logger.error("x");
    assert.deepEqual(logged({ format: "pretty" }, log), ["04:05:06.789 error x\n"]);
    assert.deepEqual(logged({ format: "pretty", colours: true }, log), [
      "04:05:06.789 \u001B[31merror\u001B[39m x\n",
    ]);
  });
});

for (const [quietest, level] of logLevels.entries()) {
  test(`level ${level} writes itself and what is louder`, () => {
    const lines = logged({ level, format: "pretty" }, (logger) => {
      for (const each of logLevels) logger[each](each);
    });
    assert.deepEqual(
      lines.map((line) => line.trim().split(" ").at(-1)),
      logLevels.slice(0, quietest + 1),
    );
  });
}
