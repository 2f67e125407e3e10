// What a module imports, in every way TypeScript has.
import { Visitor } from "oxc-parser";
import type { Argument, Expression } from "oxc-parser";
import type { Source } from "./source.ts";

/** One reference to another module. `url` is `new URL("./x.ts", import.meta.url)`: how threads are named. */
export interface Import {
  specifier: string;
  kind: "value" | "type" | "dynamic" | "url";
  line: number;
}

/** All imports, re-exports, dynamic imports, `import("x")` types and module URLs whose target is written out. */
export function importsOf({ program, lineOf }: Source): Import[] {
  const found: Import[] = [];
  const add = (specifier: string | undefined, kind: Import["kind"], start: number): void => {
    if (specifier !== undefined) found.push({ specifier, kind, line: lineOf(start) });
  };
  new Visitor({
    ImportDeclaration: (node) => add(node.source.value, kindOf(node.importKind), node.start),
    ExportNamedDeclaration: (node) => add(node.source?.value, kindOf(node.exportKind), node.start),
    ExportAllDeclaration: (node) => add(node.source.value, kindOf(node.exportKind), node.start),
    ImportExpression: (node) => add(textOf(node.source), "dynamic", node.start),
    TSImportType: (node) => add(node.source.value, "type", node.start),
    NewExpression: (node) => {
      if (node.callee.type === "Identifier" && node.callee.name === "URL")
        add(moduleUrl(node.arguments), "url", node.start);
    },
  }).visit(program);
  return found;
}

function kindOf(kind: "type" | "value" | undefined): "type" | "value" {
  return kind ?? "value";
}

/** The text of a string or of a template without holes. */
function textOf(node: Expression | Argument): string | undefined {
  if (node.type === "Literal") return typeof node.value === "string" ? node.value : undefined;
  if (node.type !== "TemplateLiteral" || node.expressions.length > 0) return undefined;
  return node.quasis[0]?.value.cooked ?? undefined;
}

/** The target of `new URL(target, import.meta.url)` where that is a module. */
function moduleUrl([target, base]: readonly Argument[]): string | undefined {
  if (target === undefined || base?.type !== "MemberExpression" || base.object.type !== "MetaProperty")
    return undefined;
  const text = textOf(target);
  return text !== undefined && /\.[mc]?[jt]s$/.test(text) ? text : undefined;
}
