/** Every address the gateway answers, from the dialects and the operators' surfaces. */
import type { ForwardCatalog } from "../contracts/http-endpoint.ts";
import type { ModelCatalog } from "../contracts/models.ts";
import { noExplanations } from "../contracts/explanation.ts";
import type { RequestRecords } from "../contracts/request-record.ts";
import type { Route, RpcMethod } from "../contracts/route.ts";
import { createDecisionRoute } from "../admin/decision-route.ts";
import { createHealthRoutes } from "../admin/health.ts";
import { createMetricsRoute } from "../admin/metrics-route.ts";
import { createShadowsRoute } from "../admin/shadows-route.ts";
import { createPickerRoute } from "../admin/picker-route.ts";
import { createMonitoringRoutes } from "../admin/monitoring-routes.ts";
import { createWelcomeRoute } from "../admin/welcome.ts";
import { createAnthropicRoutes } from "../dialects/anthropic/create-anthropic-routes.ts";
import { JsonThreads } from "../dialects/json/json-threads.ts";
import { createKserveRoutes } from "../dialects/kserve/create-kserve-routes.ts";
import { createKserveRpc } from "../dialects/kserve/create-kserve-rpc.ts";
import { createOllamaRoutes } from "../dialects/ollama/create-ollama-routes.ts";
import { createOperatorRoutes } from "../dialects/ollama/create-operator-routes.ts";
import { createOpenAiRoutes } from "../dialects/openai/create-openai-routes.ts";
import { createPredictRoutes } from "../dialects/predict/create-predict-routes.ts";
import { createPredictRpc } from "../dialects/predict/create-predict-rpc.ts";
import { createTfServingRoutes } from "../dialects/tfserving/create-tfserving-routes.ts";
import { serverCodecs } from "../dialects/translation-tasks.ts";
import { expositionContentType } from "../telemetry/index.ts";
import type { Edge } from "./edge.ts";
import type { GatewayConfig, GatewayContext } from "./options.ts";
import type { PickerWatch } from "./picker-watch.ts";

/** The addresses of both doors, and what they hold that must be closed. */
export interface Addresses {
  readonly routes: readonly Route[];
  readonly methods: readonly RpcMethod[];
  /** The page at `/` of a door that answers these routes. */
  welcome(routes: readonly Route[]): Route;
  close(): void;
}

/** What addresses are made from. */
export interface AddressParts {
  readonly config: GatewayConfig;
  readonly context: GatewayContext;
  readonly catalog: ModelCatalog;
  /** Pools of HTTP servers and their models. */
  readonly forward: ForwardCatalog;
  /** What became of the last requests. */
  readonly records: RequestRecords;
  readonly watch: PickerWatch | undefined;
  readonly draining: () => boolean;
  readonly edge: Pick<Edge, "routes" | "storageProblem"> | undefined;
}

/** Collects the addresses. A new API is a line here. */
export function collectAddresses(parts: AddressParts): Addresses {
  const { config, context, catalog, forward, records, watch, draining, edge } = parts;
  const { clock, version, metrics } = context;
  const jsonThreads = new JsonThreads({ clock });
  const defaults = { requestTimeoutMs: config.flow.requestTimeoutMs };
  const kserve = { catalog, defaults, server: { name: "spillway", version }, jsonThreads };
  const servers = serverCodecs;
  const pooled = () => forward.models();
  const predict = { clock, predict: config.predict, defaults, jsonThreads };
  return {
    routes: [
      ...createHealthRoutes({
        catalog,
        clock,
        version,
        draining,
        storageProblem: () => edge?.storageProblem?.message,
      }),
      createMetricsRoute(metrics, expositionContentType),
      createDecisionRoute(records, watch?.explanations),
      createPickerRoute({ pools: () => watch?.pools() ?? [], clock }),
      createShadowsRoute(watch?.shadows ?? { reports: () => [] }, watch?.explanations ?? noExplanations),
      ...createMonitoringRoutes(config.monitoring, { clock }),
      // The first of its kind below /v1, so that unknown addresses there are refused in OpenAI's words.
      ...createOpenAiRoutes({ clock, defaults, servers, jsonThreads }),
      ...createPredictRoutes(predict),
      ...createKserveRoutes(kserve),
      ...createOllamaRoutes({ clock, version, defaults, servers, forward, jsonThreads }),
      ...createOperatorRoutes({ forward }),
      ...createAnthropicRoutes({ clock, defaults, servers, jsonThreads }),
      ...createTfServingRoutes({ catalog, pooled, clock, defaults, jsonThreads }),
      ...(edge?.routes ?? []),
    ],
    methods: [...createPredictRpc(predict), ...createKserveRpc(kserve)],
    welcome: (routes) =>
      createWelcomeRoute({ catalog, pooled, version, paths: new Set(routes.map(({ path }) => path)) }),
    close: () => jsonThreads.close(),
  };
}
