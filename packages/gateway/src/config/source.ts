/** The text of a configuration file: YAML with positions, and `${NAME}` references to the environment. */
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type Scalar,
  type YAMLError,
} from "yaml";

/** One thing that is wrong, for people. */
export interface Problem {
  /** Keys from the top of the file; empty for the file as a whole. */
  readonly path: readonly PropertyKey[];
  /** What is wrong, and what was expected. */
  readonly message: string;
  /** What is marked: the key itself or, by default, its value. */
  readonly at?: "key";
  /** Offset in the text, where the path does not tell. */
  readonly offset?: number;
}

/** Where a text comes from, and what its references mean. */
export interface SourceOptions {
  /** How messages call the file. */
  readonly file: string;
  /** Answers `${NAME}`; undefined: the file knows no references, and `${` is text like any other. */
  readonly environment: Readonly<Record<string, string | undefined>> | undefined;
  /** Makes of a text from the environment what the key at this path takes: `8080` may be meant as a number. */
  readonly convert: (path: readonly PropertyKey[], text: string) => unknown;
}

/** Aliases (`*name`) of one file; more is an attempt to fill the memory. */
const maxAliasCount = 100;

/** Largest file that is read, bytes. */
export const maxConfigBytes = 1_048_576;

/** A parsed file. */
export class ConfigSource {
  /** What the file says; an empty file says nothing. */
  readonly value: unknown;
  /** Why the text cannot be relied on. With `fatal`, `value` is not to be looked at. */
  readonly problems: readonly Problem[];
  readonly fatal: boolean;
  readonly #file: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();
  /** Values made from the environment, by their path, with the text that stands in the file. */
  readonly #references = new Map<string, string>();

  constructor(text: string, { file, environment, convert }: SourceOptions) {
    this.#file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const syntax = this.#document.errors;
    const problems = syntax.map((error) => describeSyntax(error, text));
    this.fatal = syntax.some((error) => error.code !== "DUPLICATE_KEY");
    if (!this.fatal && environment !== undefined) problems.push(...this.#resolve(environment, convert));
    this.problems = problems;
    this.value = this.fatal ? undefined : (this.#document.toJS({ maxAliasCount }) ?? {});
  }

  /** The text in the file of a value that came from the environment. */
  referenceAt(path: readonly PropertyKey[]): string | undefined {
    return this.#references.get(pathKey(path));
  }

  /** `file:line:column: key.path: message`. */
  describe(problem: Problem): string {
    const { line, col } = this.#lines.linePos(this.#offsetOf(problem));
    const path = showPath(problem.path);
    return `${this.#file}:${line}:${col}: ${path === "" ? "" : `${path}: `}${problem.message}`;
  }

  /** Problems in the order of the file, each described. */
  describeAll(problems: readonly Problem[]): string[] {
    const placed = problems.map((problem) => ({ problem, offset: this.#offsetOf(problem) }));
    return placed.sort((a, b) => a.offset - b.offset).map(({ problem }) => this.describe(problem));
  }

  /** Puts what the environment says in the place of references. */
  #resolve(
    environment: NonNullable<SourceOptions["environment"]>,
    convert: SourceOptions["convert"],
  ): Problem[] {
    const problems: Problem[] = [];
    visit(this.#document, {
      Scalar: (key, node, ancestors) => {
        if (key === "key" || typeof node.value !== "string" || !node.value.includes("${")) return;
        const path = pathOf([...ancestors, node]);
        const original = node.value;
        const { text, missing } = fillReferences(original, environment);
        problems.push(...missing.map((message) => ({ path, message, offset: node.range?.[0] ?? 0 })));
        node.value = convert(path, text);
        this.#references.set(pathKey(path), original);
      },
    });
    return problems;
  }

  #offsetOf({ path, at, offset }: Problem): number {
    if (offset !== undefined) return offset;
    let found = 0;
    let node: unknown = this.#document.contents;
    for (const [depth, key] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      const entry = childAt(node, key);
      if (entry === undefined) break;
      const wanted = depth === path.length - 1 && at === "key" ? entry.key : (entry.value ?? entry.key);
      found = wanted?.range?.[0] ?? found;
      node = entry.value;
    }
    return found;
  }
}

function childAt(
  node: unknown,
  key: PropertyKey,
): { readonly key: Node | undefined; readonly value: Node | undefined } | undefined {
  if (isSeq(node)) {
    const item = typeof key === "number" ? node.items[key] : undefined;
    return isNode(item) ? { key: item, value: item } : undefined;
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key));
  if (pair === undefined) return undefined;
  return {
    key: isNode(pair.key) ? pair.key : undefined,
    value: isNode(pair.value) && !isEmpty(pair.value) ? pair.value : undefined,
  };
}

/** True for the value of `key:` with nothing behind it, which lies on the next line for the parser. */
function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && node.source === "";
}

/** Keys and indexes that lead to the last node of a chain of ancestors. */
function pathOf(chain: readonly unknown[]): (string | number)[] {
  const path: (string | number)[] = [];
  for (const [index, node] of chain.entries()) {
    const next = chain[index + 1];
    if (isSeq(node)) path.push(node.items.indexOf(next));
    else if (isMap(node)) path.push(String(((next as { key: unknown }).key as Scalar).value));
  }
  return path;
}

function pathKey(path: readonly PropertyKey[]): string {
  return JSON.stringify(path);
}

/** `listen[0].port`; a key that is more than a word in brackets: `instances["v1.0"]`. */
function showPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const key of path) {
    const isWord = typeof key === "string" && /^[\w-]+$/.test(key);
    text += isWord ? `${text === "" ? "" : "."}${key}` : `[${JSON.stringify(key)}]`;
  }
  return text;
}

function describeSyntax(error: YAMLError, text: string): Problem {
  const [start, end] = error.pos;
  if (error.code === "DUPLICATE_KEY") {
    const key = /^[^\s:,{}[\]]+/.exec(text.slice(start, end + 64))?.[0] ?? "";
    return { path: [], offset: start, message: `the key ${key} is given twice` };
  }
  return { path: [], offset: start, message: `not valid YAML: ${error.message.split("\n")[0] ?? ""}` };
}

/** `$${` stands for `${` itself. */
function fillReferences(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): { readonly text: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const filled = text.replaceAll(/\$(\$\{)|\$\{([^}]*)(\}?)/g, (whole, escaped, name, close) => {
    if (escaped !== undefined) return "${";
    if (close === "" || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(String(name))) {
      missing.push(`expected a variable of the environment such as \${NAME}, got ${whole}`);
      return "";
    }
    const value = environment[String(name)];
    if (value === undefined) missing.push(`the environment variable ${String(name)} is not set`);
    return value ?? "";
  });
  return { text: filled, missing };
}
