/** Words that must not be shown: they come from the configuration and go upstream, never to logs, reports or pages. */

/** A secret. Printed or written as JSON it says where it comes from, not what it is. */
export class Secret {
  readonly #text: string;
  /** The file that holds it; undefined: it is known already. */
  readonly file: string | undefined;

  private constructor(text: string, file: string | undefined) {
    this.#text = text;
    this.file = file;
  }

  /** A secret that is known. */
  static of(text: string): Secret {
    return new Secret(text, undefined);
  }

  /** A secret that lies in a file, so that it can be changed without a restart. */
  static inFile(path: string): Secret {
    return new Secret("", path);
  }

  /** The words. `readFile` is called for one that lies in a file; white space around it there is left out. */
  reveal(readFile: (path: string) => string): string {
    return this.file === undefined ? this.#text : readFile(this.file).trim();
  }

  toJSON(): string {
    return this.file === undefined ? "[secret]" : `file:${this.file}`;
  }

  toString(): string {
    return this.toJSON();
  }

  /** What `util.inspect` and the console show (`util.inspect.custom`). */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toJSON();
  }
}
