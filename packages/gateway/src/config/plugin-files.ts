/** Plugins of a user's own: files that a configuration names, loaded into this process. */
import { registerHooks } from "node:module";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { pluginKinds, type PluginDefinition } from "../contracts/plugins/plugin.ts";

/** A file that the configuration names. */
export interface PluginFile {
  /** As the configuration says it, for messages. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
}

/** What a file has: its definitions, or why it cannot be used. */
export interface LoadedPluginFile {
  readonly definitions: readonly PluginDefinition[];
  readonly errors: readonly string[];
}

const face = "@spillway/gateway/plugin";

/** What plugin files may import without having it installed: names of this gateway's own module. */
const faceNames: readonly string[] = [face, "spillway/plugin"];

let isHooked = false;

/**
 * Answers imports of the plugin face with this gateway's own module: a plugin file needs nothing installed, and what is
 * compared by identity (keys of data) is one and the same.
 */
function hookFace(): void {
  if (isHooked) return;
  isHooked = true;
  const url = import.meta.resolve(face);
  registerHooks({
    resolve: (specifier, context, nextResolve) =>
      faceNames.includes(specifier) ? { url, shortCircuit: true } : nextResolve(specifier, context),
  });
}

/**
 * Loads a file: JavaScript, or TypeScript whose types can be stripped. It runs in this process with everything that the
 * process may do. Never rejects.
 */
export async function loadPluginFile({ name, path }: PluginFile): Promise<LoadedPluginFile> {
  if (!existsSync(path)) return refused(`${name}: there is no such file`);
  hookFace();
  let exported: unknown;
  try {
    const module = (await import(pathToFileURL(path).href)) as { readonly default?: unknown };
    exported = module.default;
  } catch (error) {
    return refused(`${name}: ${whyNotLoaded(error, path)}`);
  }
  if (exported === undefined) {
    return refused(`${name}: has no default export; expected what definePlugin gives, or a list of such`);
  }
  const definitions: PluginDefinition[] = [];
  const errors: string[] = [];
  for (const each of Array.isArray(exported) ? (exported as unknown[]) : [exported]) {
    const problem = findProblem(each);
    if (problem === undefined) definitions.push(each as PluginDefinition);
    else errors.push(`${name}: ${problem}`);
  }
  return { definitions, errors };
}

function refused(error: string): LoadedPluginFile {
  return { definitions: [], errors: [error] };
}

/** What keeps a value from being a definition; undefined: it is one. */
function findProblem(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) {
    return `exports ${value === null ? "null" : `a ${typeof value}`} as default; expected what definePlugin gives`;
  }
  const { type, kinds, summary, parameters, create } = value as Partial<Record<string, unknown>>;
  if (typeof type !== "string" || !/^[a-z0-9][a-z0-9-]{0,63}$/.test(type)) {
    return "type: expected a name of lower-case letters, digits and dashes, such as my-scorer";
  }
  const known: readonly string[] = pluginKinds;
  if (!Array.isArray(kinds) || kinds.length === 0 || !kinds.every((kind) => known.includes(String(kind)))) {
    return `${type}: kinds: expected a list of ${known.join(", ")}`;
  }
  if (typeof summary !== "string" || summary === "") return `${type}: summary: expected a sentence`;
  if (!isSchema(parameters)) {
    return `${type}: parameters: expected a schema such as z.strictObject({}), with the z of @spillway/gateway/plugin`;
  }
  return typeof create === "function" ? undefined : `${type}: create: expected a function`;
}

function isSchema(value: unknown): boolean {
  return typeof value === "object" && value !== null && "_zod" in value && "safeParse" in value;
}

/** The reason, with the place in the file where there is one. */
function whyNotLoaded(error: unknown, path: string): string {
  if (!(error instanceof Error)) return String(error);
  const place = placeIn(error.stack ?? "", path);
  return `cannot be loaded: ${place}${error.message.split("\n")[0] ?? ""}`;
}

/** `line 3: ` where the stack names a line of the file. */
function placeIn(stack: string, path: string): string {
  const url = pathToFileURL(path).href;
  for (const name of [url, path]) {
    const at = stack.indexOf(`${name}:`);
    const line = at < 0 ? undefined : /^\d+/.exec(stack.slice(at + name.length + 1))?.[0];
    if (line !== undefined) return `line ${line}: `;
  }
  return "";
}
