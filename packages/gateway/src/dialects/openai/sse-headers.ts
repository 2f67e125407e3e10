/** Heads of streamed answers. */
import type { HeaderList } from "../../core/headers.ts";

/** Of server-sent events. Proxies on the way are asked not to hold them back. */
export const sseHeaders: HeaderList = [
  ["content-type", "text/event-stream; charset=utf-8"],
  ["cache-control", "no-cache"],
  ["x-accel-buffering", "no"],
];
