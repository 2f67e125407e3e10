/** Errors as sentences for people. */
import { errorTable, GatewayError } from "../core/errors.ts";
import { CommandError } from "./command-error.ts";

/** What the system calls an error, and what it means for whoever runs a command. */
const systemErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is taken; stop what listens there, or choose another port",
  EADDRNOTAVAIL: "the address is not one of this machine's",
  EACCES: "no permission",
  EMFILE: "too many open files; raise the limit (ulimit -n)",
  ENOENT: "there is no such file or folder",
  ENOSPC: "the disk is full",
  ENOTDIR: "it is a file, not a folder",
};

/**
 * The reason in one line. Errors that are not for people keep their text and, with
 * `SPILLWAY_DEBUG=1`, their stack.
 */
export function toSentence(error: unknown): string {
  if (process.env["SPILLWAY_DEBUG"] === "1" && error instanceof Error) return error.stack ?? error.message;
  if (error instanceof CommandError) return error.message;
  if (error instanceof GatewayError) return withCause(error);
  return systemSentence(error) ?? (error instanceof Error ? error.message : String(error));
}

/** Where the message is only the table's, the cause says more. */
function withCause({ code, message, cause }: GatewayError): string {
  if (cause === undefined || message !== errorTable[code].text) return message;
  return `${message}: ${toSentence(cause)}`;
}

function systemSentence(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  const meaning = systemErrors[String(error.code)];
  if (meaning === undefined) return undefined;
  const { address, port, path } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  const where = port === undefined ? path : `${address ?? ""} port ${port}`;
  return where === undefined ? meaning : `${where}: ${meaning}`;
}
