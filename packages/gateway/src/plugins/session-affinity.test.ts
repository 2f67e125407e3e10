// A session stays where it began: by a token that the caller carries, or by what the gateway remembers.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { candidatesOf, keptBy, makePlugin, scoresOf } from "../../test/support/plugin-fixture.ts";
import { plainServer, scheduledRequest } from "../../test/support/scheduling-fixture.ts";
import { sessionIdKey } from "../contracts/plugins/data-keys.ts";
import type {
  Filter,
  RequestObserver,
  SchedulableEndpoint,
  ScheduledRequest,
  Scorer,
} from "../contracts/plugins/scheduling.ts";
import { createManualClock } from "../testing.ts";

const servers = [0, 1, 2].map((index) => plainServer(index));
const [a, b, c] = servers as [SchedulableEndpoint, SchedulableEndpoint, SchedulableEndpoint];

describe("with a token in a header", () => {
  const filter = makePlugin<Filter & Required<RequestObserver>>("session-affinity-filter");
  const tokenOf = (server: SchedulableEndpoint): string =>
    filter.answerHeaders(scheduledRequest(), server)?.[0]?.[1] ?? assert.fail();

  test("the answer names the server, and the next request goes there", () => {
    assert.deepEqual(filter.answerHeaders(scheduledRequest(), b), [
      ["x-session-token", Buffer.from(b.id).toString("base64")],
    ]);
    const again = scheduledRequest({ headers: { "x-session-token": tokenOf(b) } });
    assert.deepEqual(keptBy(filter, servers, again), [1]);
    const scorer = makePlugin<Scorer>("session-affinity-scorer");
    assert.deepEqual(scoresOf(scorer, candidatesOf(servers), again), [0, 1, 0]);
  });

  test("a token of nobody, or none, changes nothing", () => {
    for (const token of ["", "!!!", Buffer.from("pool/gone:1").toString("base64")]) {
      const request = scheduledRequest({ headers: { "x-session-token": token } });
      assert.deepEqual(keptBy(filter, servers, request), [0, 1, 2], token);
    }
    assert.deepEqual(keptBy(filter, servers, scheduledRequest()), [0, 1, 2]);
  });

  test("the header can have another name", () => {
    const parameters = { encodedEndpointHeaderConfig: { header: "X-Mine" } };
    const other = makePlugin<Filter & Required<RequestObserver>>("session-affinity-filter", { parameters });
    assert.equal(other.answerHeaders(scheduledRequest(), a)?.[0]?.[0], "x-mine");
    const request = scheduledRequest({ headers: { "x-mine": tokenOf(c) } });
    assert.deepEqual(keptBy(other, servers, request), [2]);
  });
});

describe("by the session's id", () => {
  const setUp = (ttl?: string) => {
    const clock = createManualClock();
    const parameters = {
      strategy: "session-id",
      ...(ttl === undefined ? {} : { sessionIdConfig: { ttl } }),
    };
    const filter = makePlugin<Filter & Required<RequestObserver>>("session-affinity-filter", {
      parameters,
      clock,
      keys: [sessionIdKey],
    });
    const of = (id: string | undefined): ScheduledRequest => ({ ...scheduledRequest(), data: [id] });
    return { clock, filter, of };
  };

  test("a session stays with its first server for as long as it goes on", () => {
    const { clock, filter, of } = setUp();
    assert.deepEqual(keptBy(filter, servers, of("s")), [0, 1, 2]);
    filter.dispatched(of("s"), b);
    for (let n = 0; n < 5; n++) {
      clock.advance(299_000);
      assert.deepEqual(keptBy(filter, servers, of("s")), [1]);
      filter.dispatched(of("s"), b);
    }
    clock.advance(300_000);
    assert.deepEqual(keptBy(filter, servers, of("s")), [0, 1, 2]);
    filter.dispatched(of("s"), c);
    assert.deepEqual(keptBy(filter, servers, of("s")), [2]);
    assert.deepEqual(keptBy(filter, servers, of("t")), [0, 1, 2]);
    assert.deepEqual(keptBy(filter, servers, of(undefined)), [0, 1, 2]);
  });

  test("it goes elsewhere for once where its server cannot be asked, and for good where that is gone", () => {
    const { filter, of } = setUp("1h");
    filter.dispatched(of("s"), b);
    assert.deepEqual(keptBy(filter, [a, c], of("s")), [0, 1]);
    filter.dispatched(of("s"), a);
    assert.deepEqual(keptBy(filter, servers, of("s")), [1]);
    filter.forgotten(b);
    filter.dispatched(of("s"), c);
    assert.deepEqual(keptBy(filter, servers, of("s")), [2]);
  });

  test("many sessions are bounded: the oldest are forgotten", () => {
    const { filter, of } = setUp();
    for (let n = 0; n <= 65_536; n++) filter.dispatched(of(`s${n}`), n % 2 === 0 ? a : b);
    assert.deepEqual(keptBy(filter, servers, of("s0")), [0, 1, 2]);
    assert.deepEqual(keptBy(filter, servers, of("s1")), [1]);
    assert.deepEqual(keptBy(filter, servers, of("s65536")), [0]);
  });
});
