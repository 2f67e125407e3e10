/** What real clients sent (test/fixtures/clients), made again. */
import { readFileSync } from "node:fs";
import type { RecordedCall } from "./client-recording/scrub.ts";

/** The calls of a client by what they are. */
export function recordedCalls(client: string): ReadonlyMap<string, RecordedCall> {
  const file = new URL(`../fixtures/clients/${client}.json`, import.meta.url);
  return new Map(Object.entries(JSON.parse(readFileSync(file, "utf8")) as Record<string, RecordedCall>));
}

/** Makes the call at the gateway, for this model. Rejects when its answer breaks off. */
export async function replay(
  gateway: string,
  { method, path, headers, body }: RecordedCall,
  model: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const sent = JSON.stringify({ ...(body as object), model });
  const response = await fetch(gateway + path, { method, headers, body: sent });
  return { status: response.status, text: await response.text() };
}

/** The objects of a stream of server-sent events. */
export function eventsOf(text: string): readonly Readonly<Record<string, unknown>>[] {
  const data = text.split("\n").filter((line) => line.startsWith("data: ") && line !== "data: [DONE]");
  return data.map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);
}
