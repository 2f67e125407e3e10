import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWrk } from "./wrk.ts";

test("the numbers of a report with and without errors", () => {
  const report = `Running 4s test @ http://127.0.0.1:7001/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   754.22us  227.84us   7.17ms   96.23%
    Req/Sec    86.11k     5.01k   91.35k    90.00%
  Latency Distribution
     50%  708.00us
     75%  750.00us
     90%    0.86ms
     99%    1.61ms
  341851 requests in 4.00s, 47.92MB read
Requests/sec:  85416.69
Transfer/sec:     11.97MB
`;
  assert.deepEqual(parseWrk(report), {
    ratePerSecond: 85_416.69,
    p50Ms: 0.708,
    p99Ms: 1.61,
    requests: 341_851,
    errors: 0,
  });
  const errors = "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\n";
  assert.equal(parseWrk(report.replace("Requests/sec", `${errors}Requests/sec`)).errors, 110);
});
