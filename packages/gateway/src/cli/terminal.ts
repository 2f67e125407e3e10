/** What a command uses of the process it runs in, so that a command is a function. */
import { isatty } from "node:tty";

/** Where a command runs. */
export interface Terminal {
  /** Writes to standard output; text ends with its own newline. */
  readonly print: (text: string) => void;
  /** Writes to standard error. */
  readonly complain: (text: string) => void;
  /** True where a person watches standard output: lines may be rewritten and coloured. */
  readonly interactive: boolean;
  /** The same for standard error. */
  readonly interactiveErrors: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** Calls the listener for each SIGINT and SIGTERM instead of ending the process. */
  onStop(listener: () => void): void;
  /**
   * Calls the listener for each SIGHUP instead of ending the process. One that says that the terminal is gone counts as a
   * wish to stop. Absent: nothing of the kind is heard.
   */
  readonly onReload?: ((listener: () => void) => void) | undefined;
  /** Asks a person for one line; undefined where nobody can answer. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
  /** Ends the process at once. */
  exit(code: number): never;
}

/** The terminal of this process. A reader that goes away (`| head`) does not end the program. */
export function processTerminal(): Terminal {
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});
  const plain = process.env["NO_COLOR"] !== undefined || process.env["TERM"] === "dumb";
  return {
    print: (text) => void process.stdout.write(text),
    complain: (text) => void process.stderr.write(text),
    interactive: process.stdout.isTTY && !plain,
    interactiveErrors: process.stderr.isTTY && !plain,
    environment: process.env,
    workingDirectory: process.cwd(),
    onStop(listener) {
      process.on("SIGINT", listener).on("SIGTERM", listener);
    },
    onReload(listener) {
      const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
      const isGone = (): boolean => terminals.length > 0 && !terminals.some((each) => isatty(each));
      process.on("SIGHUP", () => (isGone() ? process.emit("SIGTERM") : listener()));
    },
    ask: process.stdin.isTTY && process.stdout.isTTY ? askPerson : undefined,
    exit: (code) => process.exit(code),
  };
}

async function askPerson(question: string): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const gone = new AbortController();
  // Ctrl-C is for the whole program; a closed terminal is no answer.
  lines.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  lines.once("close", () => gone.abort());
  try {
    return await lines.question(question, { signal: gone.signal });
  } catch {
    return "";
  } finally {
    lines.close();
    process.stdin.unref();
  }
}
