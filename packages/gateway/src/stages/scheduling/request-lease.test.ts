// What a lease adds to an endpoint's load it takes away, exactly once, in whatever order things happen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardRequest, PlainPool } from "../../../test/support/forward-fixture.ts";
import { wireProfiles } from "../../../test/support/scheduling-fixture.ts";
import type { AttemptResult, HttpEndpoint } from "../../contracts/http-endpoint.ts";
import { createSeededRandom } from "../../core/random.ts";
import { createLoad, countPageArrived, countPageAsked } from "../../core/server-signals.ts";
import { leastWorkScheduling } from "../../plugins/default-scheduling.ts";
import { AskedRequest } from "./asked-request.ts";
import { RequestLease, type LeaseContext } from "./request-lease.ts";

const wired = wireProfiles(leastWorkScheduling);
const kinds = ["ok", "refused", "connect", "closed", "malformed", "timeout", "cancelled"] as const;
const outcomes = ["ok", "client_gone", "upstream_timeout"] as const;

function resultOf(kind: AttemptResult["kind"]): AttemptResult {
  return {
    kind,
    status: undefined,
    retryAfterMs: undefined,
    firstTokenMs: 5,
    durationMs: 10,
    usage: undefined,
  };
}

test("loads return to nothing after any interleaving, and observers hear of each end once", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = createSeededRandom(seed);
    const below = (n: number): number => Math.floor(random.unit() * n);
    const pool = new PlainPool(["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]);
    const { endpoints } = pool;
    const any = (): HttpEndpoint => endpoints[below(3)] ?? assert.fail();
    let open = 0;
    let heard = 0;
    const observer = {
      dispatched: () => void (open++, heard++),
      ended: () => void open--,
      firstToken() {
        if (below(10) === 0) throw new Error("broken");
      },
    };
    const context: LeaseContext = {
      observers: [{ name: "observer", plugin: observer }],
      open: 0,
      onRoom: () => undefined,
      onFault: () => undefined,
    };
    const leases: RequestLease[] = [];
    const take = (): void => {
      const asked = new AskedRequest(forwardRequest(), "m", wired);
      leases.push(new RequestLease(context, asked, any(), { enqueuedAt: 0, grantedAt: 0 }));
    };
    take();
    let isAsked = false;
    for (let step = 0; step < 200; step++) {
      const lease = leases[below(leases.length)] ?? assert.fail();
      const what = below(8);
      if (what === 0) take();
      else if (what === 1) lease.firstToken(any());
      else if (what < 4) lease.release(any(), resultOf(kinds[below(kinds.length)] ?? "ok"));
      else if (what === 4) lease.settle(outcomes[below(3)] ?? "ok");
      else if (what === 5) {
        if (isAsked) for (const { load } of endpoints) countPageArrived(load);
        else for (const { load } of endpoints) countPageAsked(load);
        isAsked = !isAsked;
      } else if (lease.places < 2) lease.acquire(any());
      const requests = endpoints.map(({ load }) => load.requests);
      assert.deepEqual(
        requests,
        endpoints.map(({ inFlight }) => inFlight),
      );
      assert.equal(
        requests.reduce((sum, count) => sum + count, 0),
        open,
      );
    }
    for (const lease of leases) lease.settle("ok");
    assert.equal(open, 0);
    assert.ok(heard >= leases.length);
    for (const { load, inFlight } of endpoints) {
      assert.equal(inFlight, 0);
      const { pagesAsked, pageArrived } = load;
      assert.deepEqual(load, { ...createLoad(), pagesAsked, pageArrived });
    }
  }
});

test("prompt tokens count until the first token, expected output until the end", () => {
  const pool = new PlainPool(["http://127.0.0.1:1"]);
  const [endpoint] = pool.endpoints;
  assert.ok(endpoint !== undefined);
  const request = forwardRequest();
  const asked = new AskedRequest(request, "m", wired);
  const context = { observers: [], open: 0, onRoom: () => undefined, onFault: () => undefined };
  const lease = new RequestLease(context, asked, endpoint, { enqueuedAt: 0, grantedAt: 0 });
  const { promptTokens } = request.payload.estimate;
  const { load } = endpoint;
  assert.deepEqual(
    [load.requests, load.promptTokens, load.outputTokens],
    [1, promptTokens, 1.5 * promptTokens],
  );
  lease.firstToken(endpoint);
  lease.firstToken(endpoint);
  assert.deepEqual([load.requests, load.promptTokens, load.outputTokens], [1, 0, 1.5 * promptTokens]);
  lease.release(endpoint, resultOf("ok"));
  lease.release(endpoint, resultOf("ok"));
  lease.settle("ok");
  assert.deepEqual([load.requests, load.promptTokens, load.outputTokens, load.sentSinceScrape], [0, 0, 0, 0]);
});
