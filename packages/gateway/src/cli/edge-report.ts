/** What `spillway check` says of the edge endpoint: the cloud, and what answers each detector. */
import type { CompiledConfig } from "../config/index.ts";
import { isGrpcPool } from "../contracts/options.ts";
import { formatTable } from "./table.ts";

/** The edge endpoint as it would run. */
export interface EdgeReport {
  /** Address; null: there is none, everything is answered here. */
  readonly cloud: string | null;
  readonly detectors: readonly CheckedDetector[];
}

/** A detector that the configuration names. */
export interface CheckedDetector {
  readonly id: string;
  /** A model's name or an inference server's address; null: a fetched one, or the cloud. */
  readonly model: string | null;
  readonly policy: string;
}

/** Null: there is no edge endpoint. */
export function reportEdge({ edge }: CompiledConfig): EdgeReport | null {
  if (edge === undefined) return null;
  const detectors = edge.detectors.map(({ id, model, policy }): CheckedDetector => {
    return { id, model: model?.server?.url ?? model?.name ?? null, policy: policy.name };
  });
  return { cloud: edge.cloud?.origin ?? null, detectors };
}

/** Detectors whose model nobody is known to serve: they start unready. `near`: advice for a mistyped name. */
export function noteDetectors(
  { edge, pools }: CompiledConfig,
  names: readonly string[],
  near: (name: string, known: readonly string[]) => string,
): string[] {
  // A pool that lists its models itself may well have it.
  const known = pools.filter(isGrpcPool);
  if (edge === undefined || known.some(({ models }) => models.length === 0)) return [];
  const served = [...names, ...known.flatMap(({ models }) => models)];
  const consequence = edge.cloud === undefined ? "its queries are refused" : "its queries go to the cloud";
  return edge.detectors.flatMap(({ id, model }) => {
    if (model === undefined || model.server !== undefined || served.includes(model.name)) return [];
    return [`edge.detectors: ${id}: no model ${model.name}${near(model.name, served)}; ${consequence}`];
  });
}

/** A line for the cloud and a table of detectors. */
export function describeEdge({ cloud, detectors }: EdgeReport): string {
  if (cloud === null && detectors.length === 0) return "";
  const rows = detectors.map(({ id, model, policy }) => [id, model ?? "fetched, or the cloud", policy]);
  const table = rows.length === 0 ? "" : formatTable(["DETECTOR", "ANSWERED BY", "POLICY"], rows);
  return `\n${table}cloud: ${cloud ?? "none, everything is answered here"}\n`;
}
