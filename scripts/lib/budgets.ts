// What the size, documentation and suppression budgets count in a source.
import { Visitor } from "oxc-parser";
import type { Comment, Directive, Node, Statement } from "oxc-parser";
import type { Source } from "./source.ts";

/** A named place with a number of lines of code: blank lines and comments are not counted. */
export interface Size {
  name: string;
  file: string;
  line: number;
  lines: number;
}

/** An exported declaration. `documented`: a doc comment with words stands before it. */
export interface ExportedSymbol {
  name: string;
  file: string;
  line: number;
  documented: boolean;
}

/** A comment that switches a type check or a lint rule off. */
export interface Suppression {
  file: string;
  line: number;
  text: string;
  /** Words after the directive say why. */
  hasReason: boolean;
}

/** The functions with a body in braces: declarations, methods, accessors, arrow functions and callbacks. */
export function functionSizes({ file, program, lineOf, codeLines }: Source): Size[] {
  const sizes: Size[] = [];
  const names = new Map<number, string>();
  const name = (node: Node | null | undefined, text: string): void => {
    if (node) names.set(node.start, text);
  };
  const add = (node: { start: number; end: number }, own: string | undefined): void => {
    const line = lineOf(node.start);
    const called = own ?? names.get(node.start) ?? "(anonymous)";
    sizes.push({ name: called, file, line, lines: codeLines(node.start, node.end) });
  };
  new Visitor({
    VariableDeclarator: (node) => name(node.init, node.id.type === "Identifier" ? node.id.name : "(pattern)"),
    Property: (node) => name(node.value, keyOf(node.key)),
    PropertyDefinition: (node) => name(node.value, keyOf(node.key)),
    MethodDefinition: (node) => name(node.value, keyOf(node.key)),
    FunctionDeclaration: (node) => node.body && add(node, node.id?.name),
    FunctionExpression: (node) => node.body && add(node, node.id?.name),
    ArrowFunctionExpression: (node) => !node.expression && add(node, undefined),
  }).visit(program);
  return sizes;
}

function keyOf(key: Node): string {
  if (key.type === "Identifier") return key.name;
  if (key.type === "PrivateIdentifier") return `#${key.name}`;
  return key.type === "Literal" ? String(key.value) : "(computed)";
}

/** The lines of code of a file. */
export function fileSize({ file, codeLines }: Source): Size {
  return { name: file, file, line: 1, lines: codeLines() };
}

/** The lines on which the type `any` is written. */
export function anyLines({ program, lineOf }: Source): number[] {
  const lines: number[] = [];
  new Visitor({ TSAnyKeyword: (node) => lines.push(lineOf(node.start)) }).visit(program);
  return lines;
}

const DIRECTIVE =
  /^[\s*/]*(@ts-(?:ignore|expect-error|nocheck)|(?:oxlint|eslint)-disable(?:-next-line|-line)?)\b([^]*)$/;

/** The comments that switch a type check or a lint rule off. Layout by hand of a table is no suppression. */
export function suppressionsOf({ file, comments, lineOf }: Source): Suppression[] {
  return comments.flatMap((comment) => {
    const match = DIRECTIVE.exec(comment.value);
    if (match === null) return [];
    const [, directive = "", rest = ""] = match;
    const reason = directive.includes("-disable") ? (rest.split(/\s--\s/)[1] ?? "") : rest;
    const hasReason = (reason.match(/\p{L}{2,}/gu) ?? []).length >= 2;
    return [{ file, line: lineOf(comment.start), text: comment.value.trim(), hasReason }];
  });
}

/**
 * The symbols a file declares and exports, each once (overloads are one); re-exports are judged where they are
 * declared.
 */
export function exportedSymbols(source: Source): ExportedSymbol[] {
  const symbols = new Map<string, ExportedSymbol>();
  const listed = listedExports(source.program.body);
  for (const statement of source.program.body) {
    const exported =
      statement.type === "ExportNamedDeclaration" || statement.type === "ExportDefaultDeclaration";
    const declaration = exported ? statement.declaration : statement;
    if (!declaration) continue;
    for (const { name, start } of declaredNames(declaration)) {
      if (!exported && !listed.has(name)) continue;
      const documented =
        [statement.start, start].some((at) => hasDoc(source, at)) || symbols.get(name)?.documented === true;
      symbols.set(name, { name, file: source.file, line: source.lineOf(start), documented });
    }
  }
  return [...symbols.values()];
}

/** The local names in `export { a, b as c }`. */
function listedExports(body: readonly (Statement | Directive)[]): Set<string> {
  const lists = body.filter((statement) => statement.type === "ExportNamedDeclaration");
  const specifiers = lists.filter((list) => list.source === null).flatMap((list) => list.specifiers);
  return new Set(specifiers.map(({ local }) => (local.type === "Literal" ? local.value : local.name)));
}

function declaredNames(node: Node): { name: string; start: number }[] {
  if (node.type === "VariableDeclaration") {
    return node.declarations.map(({ id, start }) => ({
      name: id.type === "Identifier" ? id.name : "(pattern)",
      start,
    }));
  }
  const named =
    "id" in node && node.id !== null && typeof node.id === "object" && "name" in node.id
      ? node.id
      : undefined;
  if (named !== undefined) return [{ name: String(named.name), start: node.start }];
  return node.type.endsWith("Statement") || node.type.startsWith("Import")
    ? []
    : [{ name: "default", start: node.start }];
}

/** Whether a doc comment with words ends where the code at `start` begins, other comments and blanks aside. */
function hasDoc({ text, comments }: Source, start: number): boolean {
  let at = start;
  for (let index = lastBefore(comments, start); index >= 0; index--) {
    const comment = comments[index];
    if (comment === undefined || text.slice(comment.end, at).trim() !== "") return false;
    if (comment.type === "Block" && comment.value.startsWith("*")) return /\p{L}{2,}/u.test(comment.value);
    at = comment.start;
  }
  return false;
}

function lastBefore(comments: readonly Comment[], start: number): number {
  return comments.findLastIndex((comment) => comment.end <= start);
}
