/** What `GET /v1/models` and below tell: in OpenAI's words, KServe v1's and TF-Serving's at once, since all three ask there. */
import type { PooledModel } from "../../contracts/http-endpoint.ts";
import type { ModelCatalog, ModelStatus } from "../../contracts/models.ts";
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { quoted } from "../tensors/describe.ts";

/** One model. `id` to `owned_by` are OpenAI's, `name` and `ready` KServe v1's. */
export interface ModelCard {
  readonly id: string;
  readonly object: "model";
  /** Seconds since the epoch. */
  readonly created: number;
  readonly owned_by: string;
  readonly name: string;
  readonly ready: boolean;
  /** Empty for models of HTTP servers, which have no versions. */
  readonly model_version_status: readonly VersionStatus[];
  /** vLLM's: tokens that prompt and answer may have together. */
  readonly max_model_len?: number;
}

/** A version in TF-Serving's words. Source: https://www.tensorflow.org/tfx/serving/api_rest */
export interface VersionStatus {
  readonly version: string;
  readonly state: "LOADING" | "AVAILABLE" | "UNLOADING" | "END";
  readonly status: { readonly error_code: "OK" | "UNKNOWN"; readonly error_message: string };
}

const states = {
  LOADING: "LOADING",
  READY: "AVAILABLE",
  UNLOADING: "UNLOADING",
  UNAVAILABLE: "END",
} as const;

/** The card of a model, or of one version of it. */
export function modelCard(
  catalog: ModelCatalog,
  {
    name,
    version,
    created,
  }: { readonly name: string; readonly version: string | undefined; readonly created: number },
): ModelCard | Failure {
  const entries = catalog
    .list()
    .filter((entry) => entry.name === name && (version ?? entry.version) === entry.version);
  if (entries.length > 0) return toCard(catalog, { entries, version, created });
  const found = catalog.find(name, version);
  return isFailure(found) ? found : failure("model_not_found", `No model ${quoted(name)} is listed`);
}

/** The cards of all models, in the order of the catalog. */
export function modelCards(catalog: ModelCatalog, created: number): ModelCard[] {
  const byName = Map.groupBy(catalog.list(), (entry) => entry.name);
  return Array.from(byName.values(), (entries) => toCard(catalog, { entries, version: undefined, created }));
}

/** The card of a model of HTTP servers; `started` where none of them says when it was made. */
export function pooledCard({ name, pool, ready, card = {} }: PooledModel, started: number): ModelCard {
  const { created, owned_by: owner, max_model_len: length, modified_at: modified } = card;
  const made = typeof modified === "string" ? Math.floor(Date.parse(modified) / 1000) : created;
  return {
    id: name,
    object: "model",
    created: typeof made === "number" && Number.isFinite(made) ? made : started,
    owned_by: typeof owner === "string" ? owner : pool,
    name,
    ready: ready > 0,
    model_version_status: [],
    ...(typeof length === "number" ? { max_model_len: length } : {}),
  };
}

interface CardParts {
  /** At least one, all of one model. */
  readonly entries: readonly ModelStatus[];
  readonly version: string | undefined;
  readonly created: number;
}

function toCard(catalog: ModelCatalog, { entries, version, created }: CardParts): ModelCard {
  const name = entries[0]?.name ?? "";
  return {
    id: name,
    object: "model",
    created,
    owned_by: entries[0]?.pool ?? "",
    name,
    ready: catalog.isReady(name, version),
    model_version_status: entries.map(versionStatus),
  };
}

function versionStatus({ version, state, reason }: ModelStatus): VersionStatus {
  return {
    version,
    state: states[state],
    status: { error_code: reason === "" ? "OK" : "UNKNOWN", error_message: reason },
  };
}
