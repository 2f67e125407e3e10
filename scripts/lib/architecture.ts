// The rules of who may import whom, applied to sources. The data is in layers.ts.
import { builtinModules } from "node:module";
import path from "node:path";
import { Visitor } from "oxc-parser";
import type { Expression } from "oxc-parser";
import { importsOf } from "./imports.ts";
import type { Import } from "./imports.ts";
import {
  layerRows,
  matches,
  mayImport,
  openImports,
  packageImports,
  publicFaces,
  reservedImports,
  rowOf,
} from "./layers.ts";
import { isGenerated, isTest } from "./source.ts";
import type { Source } from "./source.ts";

/** What breaks a rule, and where. */
export interface Violation {
  file: string;
  line: number;
  message: string;
}

/** Names of npm packages that each package of the repository declares as dependencies. */
export type Declared = Readonly<Record<string, readonly string[]>>;

const SCOPE = "@spillway/";
const GATEWAY = "packages/gateway/src/";
const TOP_FOLDERS = layerRows.at(-1)?.folders ?? [];
/** Where the time and chance of the machine enter the gateway. */
const SOURCES_OF_TIME = ["core/clock.ts", "core/random.ts"];

/** Every broken rule in files of packages/<name>/src. Tests and generated code may import anything. */
export function violationsOf(sources: readonly Source[], declared: Declared): Violation[] {
  const judged = sources.filter(({ file }) => !isTest(file) && !isGenerated(file));
  return judged.flatMap((source) => [
    ...unknownPlace(source),
    ...importsOf(source).flatMap((found) => {
      const message = whyForbidden(source.file, found, declared);
      return message === undefined ? [] : [{ file: source.file, line: found.line, message }];
    }),
    ...timeOfTheMachine(source),
  ]);
}

/** One line for each violation. */
export function describeViolations(violations: readonly Violation[]): string {
  return violations.map(({ file, line, message }) => `${file}:${line} ${message}`).join("\n");
}

function packageOf(file: string): string {
  return file.split("/")[1] ?? "";
}

/** The folder of the layer table that a file of the gateway lies in; a public face is its own folder. */
function folderOf(file: string): string {
  const [first = "", second = "", ...rest] = file.slice(GATEWAY.length).split("/");
  const split = ["stages", "doors"].includes(first) && rest.length > 0;
  return split ? `${first}/${second}` : first;
}

function unknownPlace({ file }: Source): Violation[] {
  const at = (message: string): Violation[] => [{ file, line: 1, message }];
  const name = packageOf(file);
  if (!(name in packageImports)) return at(`the package ${name} is not in packageImports of layers.ts`);
  if (!file.startsWith(GATEWAY)) return [];
  const folder = folderOf(file);
  if (publicFaces.includes(folder) || rowOf(folder) !== undefined) return [];
  return at(`the folder ${folder} is not in the layer table`);
}

/** Why a file may not have an import, undefined where it may. */
function whyForbidden(file: string, { specifier }: Import, declared: Declared): string | undefined {
  if (specifier.startsWith(".")) return whyRelativeForbidden(file, specifier);
  return (
    whyUndeclared(file, specifier, declared) ??
    whyPackageForbidden(file, specifier) ??
    whyReserved(file, specifier)
  );
}

function whyRelativeForbidden(file: string, specifier: string): string | undefined {
  const target = path.posix.join(path.posix.dirname(file), specifier);
  const inside = `packages/${packageOf(file)}/`;
  if (!target.startsWith(inside)) return `imports ${specifier}: outside of its package only by package name`;
  if (!target.startsWith(GATEWAY)) return undefined;
  const from = folderOf(file);
  const to = folderOf(target);
  if (publicFaces.includes(from) || from === to) return undefined;
  if (publicFaces.includes(to)) return `imports ${specifier}: a public face is for users of the package`;
  return mayImport(from, to) ? undefined : `imports ${specifier}: ${from} may not import ${to}`;
}

/** `@scope/name` or `name` of a bare specifier. */
function nameOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function whyUndeclared(file: string, specifier: string, declared: Declared): string | undefined {
  if (specifier.startsWith("node:")) return undefined;
  const name = nameOf(specifier);
  if (builtinModules.includes(name)) return `imports ${specifier}: write node:${specifier}`;
  const own = packageOf(file);
  if (declared[own]?.includes(name)) return undefined;
  return `imports ${specifier}: ${name} is not in the dependencies of packages/${own}/package.json`;
}

function whyPackageForbidden(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith(SCOPE)) return undefined;
  const own = packageOf(file);
  const other = nameOf(specifier).slice(SCOPE.length);
  if (!packageImports[own]?.includes(other)) return `imports ${specifier}: ${own} may not import ${other}`;
  const inner = /^[^/]+\/[^/]+\/(src|dist)\//.test(specifier);
  return inner ? `imports ${specifier}: only what the package exports` : undefined;
}

function whyReserved(file: string, specifier: string): string | undefined {
  if (!file.startsWith(GATEWAY) || openImports.includes(specifier)) return undefined;
  const folder = folderOf(file);
  if (publicFaces.includes(folder) || TOP_FOLDERS.includes(folder)) return undefined;
  const name = specifier.startsWith("node:") ? specifier : nameOf(specifier);
  const rule = reservedImports.find(({ imports }) => imports.includes(name));
  if (rule === undefined || rule.folders.some((pattern) => matches(pattern, folder))) return undefined;
  return `imports ${specifier}: not in ${folder}, because ${rule.reason}`;
}

/** What the linter's ban on clocks and chance does not see: `new Date()`, and the same functions by another way. */
function timeOfTheMachine({ file, program, lineOf }: Source): Violation[] {
  if (!file.startsWith(GATEWAY)) return [];
  if (TOP_FOLDERS.includes(folderOf(file)) || SOURCES_OF_TIME.includes(file.slice(GATEWAY.length))) return [];
  const found: Violation[] = [];
  const add = (start: number, what: string): void => {
    found.push({
      file,
      line: lineOf(start),
      message: `${what}: take a Clock or a Random (core/) as a parameter`,
    });
  };
  new Visitor({
    NewExpression: (node) => {
      if (node.arguments.length === 0 && isNamed(node.callee, "Date")) add(node.start, "new Date()");
    },
    MemberExpression: (node) => {
      if (node.property.type !== "Identifier") return;
      const name = node.property.name;
      if (isNamed(node.object, "process") && name === "hrtime") add(node.start, "process.hrtime");
      const banned = ["setTimeout", "setInterval", "Date", "Math", "performance"].includes(name);
      if (isNamed(node.object, "globalThis") && banned) add(node.start, `globalThis.${name}`);
    },
  }).visit(program);
  return found;
}

function isNamed(node: Expression, name: string): boolean {
  return node.type === "Identifier" && node.name === name;
}
