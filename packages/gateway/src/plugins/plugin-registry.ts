/** The plugins that a configuration can name: those that are built in, and those of a user's own files. */
import type { PluginDefinition, PluginKind } from "../contracts/plugins/plugin.ts";

/** A plugin of a user's own that cannot be taken, in words for people. */
export interface PluginConflict {
  readonly type: string;
  readonly message: string;
}

/** Plugin definitions by their type. Fixed once it is made. */
export class PluginRegistry {
  readonly #byType = new Map<string, PluginDefinition>();
  readonly #aliases = new Map<string, PluginDefinition>();
  /** Definitions of which the type, or another name, was taken already; they are left out. */
  readonly conflicts: readonly PluginConflict[];

  /** The first definition of a name has it. */
  constructor(definitions: Iterable<PluginDefinition>) {
    const conflicts: PluginConflict[] = [];
    for (const definition of definitions) {
      const { type, aliases = [] } = definition;
      const taken = [type, ...aliases].find((name) => this.find(name) !== undefined);
      if (taken !== undefined) {
        conflicts.push({ type, message: `there is a plugin of the type "${taken}" already` });
        continue;
      }
      this.#byType.set(type, definition);
      for (const alias of aliases) this.#aliases.set(alias, definition);
    }
    this.conflicts = conflicts;
  }

  /** The definition of a type, by its name or by an older one (`isAlias`). */
  find(type: string): PluginDefinition | undefined {
    return this.#byType.get(type) ?? this.#aliases.get(type);
  }

  /** True for an older name of a type. */
  isAlias(type: string): boolean {
    return this.#aliases.has(type);
  }

  /** All definitions, in the order in which they were given; with `kind` those that fill its slot. */
  list(kind?: PluginKind): readonly PluginDefinition[] {
    const all = [...this.#byType.values()];
    return kind === undefined ? all : all.filter(({ kinds }) => kinds.includes(kind));
  }
}
