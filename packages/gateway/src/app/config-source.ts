/** Where a running gateway's configuration is read from again. */
import type { CompiledConfig } from "../config/index.ts";

/** A configuration as it was read; what is logged may be left out. */
export type ReadConfig = Omit<CompiledConfig, "log"> & Partial<Pick<CompiledConfig, "log">>;

/** A configuration that is good, or everything that is wrong with it: one sentence each, with its place. */
export type ReadResult = { readonly config: ReadConfig } | { readonly errors: readonly string[] };

/** The source of a configuration. */
export interface ConfigSource {
  /** What people call it: the path of the file. */
  readonly name: string;
  /** Reads and checks everything anew. Never rejects. */
  read(): Promise<ReadResult>;
  /** Files that are followed, absolute; those that the configuration names are followed beside them. */
  readonly files: readonly string[];
  /** Files that have changed since then were changed after they were read at the start; ms since the Unix epoch. */
  readonly readSince: number;
  /** Told of a configuration that was taken: how to log from now on, and what came of it. */
  readonly onTaken?: (config: ReadConfig, taken: TakenConfig) => void;
}

/** What became of a good configuration, in the keys of the file: `routes`, `pools.chat`. */
export interface TakenConfig {
  /** What is different from now on. */
  readonly changed: readonly string[];
  /** What is different from what runs, and stays so until a restart. */
  readonly waiting: readonly string[];
}
