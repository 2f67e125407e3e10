/** The plugins of a configuration: each of a known type, with a name of its own and parameters that its type takes. */
import { describeIssues, nearestWord } from "@spillway/worker/repository";
import type { PluginDefinition, PluginKind, PluginSpec } from "../../contracts/plugins/plugin.ts";
import type { PluginRegistry } from "../../plugins/plugin-registry.ts";
import type { Problem } from "../source.ts";
import { upstreamKind } from "./upstream-plugins.ts";

type Path = readonly PropertyKey[];

/** A plugin as it is written, and where. */
export interface WrittenPlugin {
  readonly name: string;
  readonly type: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly path: Path;
  /** Where the type stands, and the slot that it is for; absent: at `type` below `path`, and any. */
  readonly slot?: { readonly typePath: Path; readonly kind: PluginKind };
}

/** A plugin that can be made. */
export interface PluginEntry {
  readonly spec: PluginSpec;
  readonly definition: PluginDefinition;
  readonly path: Path;
  /** Some slot has it. */
  used: boolean;
}

/** What a slot is called for people. */
const kindWords: Readonly<Record<PluginKind, string>> = {
  filter: "filter",
  scorer: "scorer",
  picker: "picker",
  "profile-handler": "profile handler",
  producer: "data producer",
  admitter: "admitter",
  fairness: "fairness policy",
  ordering: "ordering policy",
  saturation: "saturation signal",
  "usage-limit": "usage limit policy",
  eviction: "eviction policy",
  rule: "routing rule",
  source: "data source",
  extractor: "extractor",
  discovery: "endpoint discovery",
  parser: "parser",
};

/** How types of a slot usually end. */
const endings: Readonly<Record<PluginKind, readonly string[]>> = {
  filter: ["-filter"],
  scorer: ["-scorer"],
  picker: ["-picker"],
  "profile-handler": ["-profile-handler", "-handler"],
  producer: ["-producer"],
  admitter: ["-admitter"],
  fairness: ["-fairness-policy", "-fairness"],
  ordering: ["-ordering-policy"],
  saturation: ["-detector"],
  "usage-limit": ["-usage-limit-policy", "-policy"],
  eviction: ["-eviction-filter", "-eviction-policy", "-eviction"],
  rule: ["-rule"],
  source: ["-data-source", "-source"],
  extractor: ["-extractor"],
  discovery: ["-discovery"],
  parser: ["-parser"],
};

/** Collects plugins, and what is wrong with them. */
export class PluginList {
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  readonly #registry: PluginRegistry;
  readonly #entries = new Map<string, PluginEntry>();
  /** Names of plugins that are there and wrong: what refers to them is not wrong as well. */
  readonly #broken = new Set<string>();
  /** Slots that one of the wrong plugins was meant for; undefined stands for one of whatever kind. */
  readonly #brokenKinds = new Set<PluginKind | undefined>();

  constructor(registry: PluginRegistry) {
    this.#registry = registry;
  }

  /** All plugins that can be made, in the order in which they were added. */
  get entries(): readonly PluginEntry[] {
    return [...this.#entries.values()];
  }

  /** Those that fill a slot, in their order. */
  ofKind(kind: PluginKind): readonly PluginEntry[] {
    return this.entries.filter(({ definition }) => definition.kinds.includes(kind));
  }

  /** True where a plugin of the file that is wrong was perhaps meant for the slot: none is missing there. */
  mayMean(kind: PluginKind): boolean {
    return this.#brokenKinds.has(kind) || this.#brokenKinds.has(undefined);
  }

  /** True for a name that the file gives to a plugin, be it right or wrong. */
  has(name: string): boolean {
    return this.#entries.has(name) || this.#broken.has(name);
  }

  /** Takes a plugin of the file. */
  add({ name, type, parameters, path, slot }: WrittenPlugin): void {
    if (this.has(name)) {
      this.problems.push({ path, message: `there are two plugins of the name "${name}"; give one a name` });
      return;
    }
    const definition = this.#registry.find(type);
    if (definition === undefined) {
      this.#broken.add(name);
      this.#brokenKinds.add(upstreamKind(type));
      const message = unknownType(type, this.#registry, slot?.kind);
      this.problems.push({ path: slot?.typePath ?? [...path, "type"], message });
      return;
    }
    if (this.#registry.isAlias(type)) {
      const message = `"${type}" is an older name of "${definition.type}"`;
      this.warnings.push({ path: [...path, "type"], message });
    }
    const mistakes = checkParameters(definition, parameters);
    if (mistakes.length > 0) {
      this.#broken.add(name);
      for (const kind of definition.kinds) this.#brokenKinds.add(kind);
      const at = [...path, "parameters"];
      this.problems.push(...mistakes.map((each) => ({ ...each, path: [...at, ...each.path] })));
      return;
    }
    const spec = { name, type: definition.type, parameters };
    this.#entries.set(name, { spec, definition, path, used: false });
  }

  /** The plugin of a type that nobody configured, made with its defaults; undefined where there is no such type. */
  imply(type: string): PluginEntry | undefined {
    const known = this.#entries.get(type);
    if (known !== undefined) {
      known.used = true;
      return known;
    }
    if (this.#broken.has(type)) return undefined;
    const definition = this.#registry.find(type);
    if (definition === undefined) {
      this.#broken.add(type);
      this.problems.push({
        path: [],
        message: `${unknownType(type, this.#registry)}; it is needed by default`,
      });
      return undefined;
    }
    const entry = {
      spec: { name: type, type: definition.type, parameters: {} },
      definition,
      path: [],
      used: true,
    };
    this.#entries.set(type, entry);
    return entry;
  }

  /** The plugin of a name, be it used or not; undefined where there is none that can be made. */
  find(name: string): PluginEntry | undefined {
    return this.#entries.get(name);
  }

  /** The type that a word names in a slot: as it is, or with the slot's usual ending left out (`queue` for `queue-scorer`). */
  typeFor(word: string, kind: PluginKind): string {
    const candidates = [word, ...endings[kind].map((ending) => word + ending)];
    return candidates.find((type) => this.#registry.find(type) !== undefined) ?? word;
  }

  /** The plugin that a reference names, where it fills the slot (any of them). Marks it as used. */
  resolve(
    name: string,
    { path, kinds }: { readonly path: Path; readonly kinds: readonly [PluginKind, ...PluginKind[]] },
  ): PluginEntry | undefined {
    if (this.#broken.has(name)) return undefined;
    const entry = this.#entries.get(name);
    const wanted = kinds.map((kind) => kindWords[kind]).join(" or ");
    const expected = `expected the name of ${withArticle(wanted)} among plugins, got "${name}"`;
    if (entry === undefined) {
      const fitting = kinds.flatMap((kind) => this.ofKind(kind).map(({ spec }) => spec.name));
      const isType = this.#registry.find(name) !== undefined;
      const hint = isType ? ", a type that no entry of plugins has" : suggest(name, fitting);
      this.problems.push({ path, message: `${expected}${hint}` });
      return undefined;
    }
    if (!kinds.some((kind) => entry.definition.kinds.includes(kind))) {
      const is = entry.definition.kinds.map((kind) => kindWords[kind]).join(" and ");
      this.problems.push({ path, message: `${expected}, which is ${withArticle(is)}` });
      return undefined;
    }
    entry.used = true;
    return entry;
  }
}

/** What is wrong with a plugin's parameters, by their paths below it. */
function checkParameters(
  definition: PluginDefinition,
  parameters: Readonly<Record<string, unknown>>,
): readonly Problem[] {
  const result = definition.parameters.safeParse(parameters);
  if (result.success) return [];
  return describeIssues(definition.parameters, result.error, parameters).map(({ path, message }) => {
    const unknown = message.startsWith("unknown key");
    return { path, message: `${definition.type}: ${message}`, ...(unknown && { at: "key" as const }) };
  });
}

function unknownType(type: string, registry: PluginRegistry, slot?: PluginKind): string {
  const kind = upstreamKind(type);
  if (kind === undefined) {
    const all = registry.list(slot).map((each) => each.type);
    return `there is no plugin of the type "${type}"${suggest(type, all)}`;
  }
  const built = registry.list(kind).map((each) => each.type);
  const there = built.length === 0 ? "none of its kind is" : `of its kind there are: ${built.join(", ")}`;
  return `"${type}" is ${withArticle(kindWords[kind])} of the llm-d router that is not built in Spillway; ${there}`;
}

function withArticle(words: string): string {
  return `${/^[aeio]/.test(words) ? "an" : "a"} ${words}`;
}

function suggest(word: string, known: readonly string[]): string {
  const nearest = nearestWord(word, known);
  if (nearest !== undefined) return `; did you mean "${nearest}"?`;
  return known.length === 0 ? "" : `; there are: ${known.join(", ")}`;
}
