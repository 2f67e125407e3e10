// @ts-check
// One calm line of progress with the seconds that have passed. Plain JavaScript for Node 20.

const SILENT_LINE_EVERY_MS = 10_000;

/**
 * Shows on stderr that something goes on: a line that counts seconds on a terminal, elsewhere a line every
 * ten seconds.
 *
 * @param {string} what
 * @returns {{ end(result: string): void }}
 */
export function showProgress(what) {
  const start = performance.now();
  const seconds = () => `${Math.round((performance.now() - start) / 1000)} s`;
  const terminal = process.stderr.isTTY;
  const line = () => process.stderr.write(terminal ? `\r${what} … ${seconds()}` : `  … ${seconds()}\n`);
  process.stderr.write(terminal ? what : `${what}\n`);
  const timer = setInterval(line, terminal ? 1000 : SILENT_LINE_EVERY_MS);
  return {
    end(result) {
      clearInterval(timer);
      process.stderr.write(
        terminal ? `\r${what}: ${result} in ${seconds()}   \n` : `  ${result} in ${seconds()}\n`,
      );
    },
  };
}
