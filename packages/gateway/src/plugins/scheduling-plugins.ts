/** Plugins of the scheduling layer. */
import type { PluginDefinition } from "../contracts/plugins/plugin.ts";
import { contextLengthAware } from "./context-length-aware.ts";
import { headerBasedTestingFilter } from "./filters/header-based-testing-filter.ts";
import {
  byLabelFilter,
  decodeFilter,
  encodeFilter,
  labelSelectorFilter,
  prefillFilter,
} from "./filters/label-filters.ts";
import { loadedModelFilter } from "./filters/loaded-model-filter.ts";
import { prefixCacheAffinityFilter } from "./filters/prefix-cache-affinity-filter.ts";
import { utilizationFilter } from "./filters/utilization-filter.ts";
import { headerProfileHandler } from "./handlers/header-profile-handler.ts";
import { singleProfileHandler } from "./handlers/single-profile-handler.ts";
import { maxScorePicker } from "./pickers/max-score-picker.ts";
import { randomPicker } from "./pickers/random-picker.ts";
import { weightedRandomPicker } from "./pickers/weighted-random-picker.ts";
import { approxPrefixCacheProducer } from "./producers/approx-prefix-cache-producer.ts";
import { inflightLoadProducer } from "./producers/inflight-load-producer.ts";
import { sessionIdProducer } from "./producers/session-id-producer.ts";
import { tokenProducer } from "./producers/token-producer.ts";
import { activeRequestScorer } from "./scorers/active-request-scorer.ts";
import { headerLabelAffinityScorer } from "./scorers/header-label-affinity-scorer.ts";
import { kvCacheUtilizationScorer } from "./scorers/kv-cache-utilization-scorer.ts";
import { loadAwareScorer } from "./scorers/load-aware-scorer.ts";
import { loraAffinityScorer } from "./scorers/lora-affinity-scorer.ts";
import { noHitLruScorer } from "./scorers/no-hit-lru-scorer.ts";
import { outstandingWorkScorer } from "./scorers/outstanding-work-scorer.ts";
import { prefixCacheScorer } from "./scorers/prefix-cache-scorer.ts";
import { queueScorer, runningRequestsSizeScorer } from "./scorers/range-scorers.ts";
import { tokenLoadScorer } from "./scorers/token-load-scorer.ts";
import { sessionAffinityFilter, sessionAffinityScorer } from "./session-affinity.ts";

/** In the order in which the reference page tells them. */
export const schedulingPlugins: readonly PluginDefinition[] = [
  labelSelectorFilter,
  byLabelFilter,
  prefillFilter,
  decodeFilter,
  encodeFilter,
  prefixCacheAffinityFilter,
  contextLengthAware,
  sessionAffinityFilter,
  utilizationFilter,
  loadedModelFilter,
  headerBasedTestingFilter,
  queueScorer,
  kvCacheUtilizationScorer,
  runningRequestsSizeScorer,
  loraAffinityScorer,
  prefixCacheScorer,
  noHitLruScorer,
  activeRequestScorer,
  loadAwareScorer,
  tokenLoadScorer,
  sessionAffinityScorer,
  headerLabelAffinityScorer,
  outstandingWorkScorer,
  maxScorePicker,
  randomPicker,
  weightedRandomPicker,
  singleProfileHandler,
  headerProfileHandler,
  approxPrefixCacheProducer,
  tokenProducer,
  inflightLoadProducer,
  sessionIdProducer,
];
