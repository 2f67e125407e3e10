/** Reasons why a command did not work, for people. */

/** Told as it is, without a stack trace. */
export class CommandError extends Error {
  constructor(message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.name = "CommandError";
  }
}

/** Every mistake of a configuration file, each a line that begins with its place in the file. */
export class ConfigFileError extends CommandError {
  readonly errors: readonly string[];

  constructor(errors: readonly string[]) {
    super(errors.join("\n"));
    this.name = "ConfigFileError";
    this.errors = errors;
  }
}
