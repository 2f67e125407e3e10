/** Reading what producers have worked out. */
import type { ScheduledRequest } from "../contracts/plugins/scheduling.ts";

/** The value at a place that `PluginHost.dataIndex` gave for a key of type `T`; undefined where its producer has not said. */
export function dataAt<T>({ data }: ScheduledRequest, index: number): T | undefined {
  return data[index] as T | undefined;
}
