/** A scheduling layer that can run: its plugins made and joined. `plugins/create-profiles.ts` makes it of a `SchedulingSpec`. */
import type { SignalName } from "./plugin.ts";
import type { Filter, Picker, Producer, ProfileHandler, RequestObserver, Scorer } from "./scheduling.ts";

/** A plugin and its name in the configuration. */
export interface Named<T> {
  readonly name: string;
  readonly plugin: T;
}

/** One profile, in the order in which it runs. */
export interface WiredProfile {
  readonly name: string;
  readonly filters: readonly Named<Filter>[];
  readonly scorers: readonly (Named<Scorer> & { readonly weight: number })[];
  readonly picker: Named<Picker>;
}

/** A whole layer, with the state of its plugins: of one pool. */
export interface WiredScheduling {
  /** Those that others read from come first. */
  readonly producers: readonly Named<Producer>[];
  readonly handler: Named<ProfileHandler>;
  readonly profiles: readonly WiredProfile[];
  /** Plugins that hear what becomes of requests. */
  readonly observers: readonly Named<RequestObserver>[];
  /** Length of `ScheduledRequest.data`. */
  readonly dataSize: number;
  /** Index of the value of `inflightTokensKey` in `data`; -1: nobody works it out. */
  readonly inflightIndex: number;
  /** Whether anything reads `ScheduledRequest.promptBytes`. */
  readonly readsPrompt: boolean;
  /** Whether anything reads more of a body than its length (`PluginNeeds.body`); true wherever `readsPrompt` is. */
  readonly needsBody: boolean;
  /** What somebody reads of `ServerSignals`: nothing else has to be looked for. */
  readonly signals: ReadonlySet<SignalName>;
}
