// What operators see of a line.
import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardRequest } from "../../../test/support/forward-fixture.ts";
import type { LineCost } from "../../contracts/line.ts";
import type { ForwardPayload } from "../../core/forward.ts";
import { createManualClock } from "../../testing.ts";
import { RequestLine } from "./line.ts";

test("bands with what waits in them, highest priority first; nothing of those that are empty", () => {
  const clock = createManualClock();
  const line = new RequestLine<ForwardPayload, LineCost>({
    clock,
    maxQueue: 100,
    onRefused: () => undefined,
  });
  assert.deepEqual(line.inspect(), []);
  for (const priority of [0, 5, 0]) {
    const request = { ...forwardRequest({ priority }), deadline: clock.now() + 10_000 };
    line.join({ request, bound: { rows: 1, shapeKey: "m" }, done: () => undefined });
    clock.advance(100);
  }
  const shown = line.inspect() as {
    priority: number;
    waiting: number;
    oldest_ms: number;
    flow_count: number;
  }[];
  assert.deepEqual(
    shown.map(({ priority, waiting, oldest_ms, flow_count }) => [priority, waiting, oldest_ms, flow_count]),
    [
      [5, 1, 200, 1],
      [0, 2, 300, 1],
    ],
  );
});
