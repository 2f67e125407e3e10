// Every fault, seen from the other end of a socket.
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { after, before, describe, it } from "node:test";
import { checkWords, parseFault, startSimulator } from "@spillway/simulator";
import type { Fault, Simulator, SimulatorOptions } from "@spillway/simulator";

let vllm: Simulator;
let ollama: Simulator;
before(async () => {
  vllm = await startSimulator({ face: "vllm", models: ["m"], alphabet: "unicode" });
  ollama = await startSimulator({ face: "ollama", models: ["m"], alphabet: "unicode" });
});
after(async () => {
  await vllm.close();
  await ollama.close();
});

interface Seen {
  status: number;
  headers: IncomingHttpHeaders;
  chunks: Buffer[];
  text: string;
  /** Whether the answer ended as HTTP says it should. */
  complete: boolean;
  error?: string;
  firstByteMs: number;
  headMs: number;
}

interface Call {
  fault?: Fault;
  stream?: boolean;
  path?: string;
  agent?: Agent;
  /** Leaves so long after the head. */
  leaveAfterMs?: number;
}

/** One chat over a connection of its own, whatever becomes of it. */
async function call(
  simulator: Simulator,
  { fault, stream = true, path, agent, leaveAfterMs }: Call = {},
): Promise<Seen> {
  const start = performance.now();
  const seen: Seen = {
    status: 0,
    headers: {},
    chunks: [],
    text: "",
    complete: false,
    firstByteMs: 0,
    headMs: 0,
  };
  await new Promise<void>((resolve) => {
    const end = (error?: Error & { code?: string }): void => {
      if (error !== undefined) seen.error = error.code ?? error.message;
      resolve();
    };
    const url = new URL(path ?? (simulator === ollama ? "/api/chat" : "/v1/chat/completions"), simulator.url);
    const headers = fault === undefined ? {} : { "x-simulator-fault": JSON.stringify(fault) };
    const outgoing = request(url, { method: "POST", headers, agent: agent ?? false }, (response) => {
      seen.status = response.statusCode ?? 0;
      seen.headers = response.headers;
      seen.headMs = performance.now() - start;
      if (leaveAfterMs !== undefined) setTimeout(() => outgoing.destroy(), leaveAfterMs);
      response.on("data", (chunk: Buffer) => {
        if (seen.chunks.length === 0) seen.firstByteMs = performance.now() - start;
        seen.chunks.push(chunk);
      });
      response.on("error", end);
      response.on("close", () => {
        seen.complete = response.complete;
        end();
      });
    });
    outgoing.on("error", end);
    outgoing.end(JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], stream }));
  });
  seen.text = Buffer.concat(seen.chunks).toString();
  return seen;
}

/** What the model said in a stream of SSE or NDJSON, lines that are no JSON left out. */
function said({ text }: Seen): string {
  let all = "";
  for (const line of text.split(/\r?\n/)) {
    const json = line.startsWith("data: ") ? line.slice(6) : line;
    if (!json.startsWith("{")) continue;
    try {
      const value = JSON.parse(json) as {
        choices?: [{ delta: { content?: string } }?];
        message?: { content: string };
      };
      all += value.choices?.[0]?.delta.content ?? value.message?.content ?? "";
    } catch {
      continue;
    }
  }
  return all;
}

const events = ({ text }: Seen): number =>
  text.split(/\n\n|\n(?=\{)|\n$/).filter((each) => each.trim() !== "").length;

describe("faults before the answer", () => {
  it("delay the head, and leave the answer whole", async () => {
    const seen = await call(vllm, { fault: { delayHeadersMs: 120 } });
    assert.ok(seen.headMs >= 119, `head after ${seen.headMs} ms`);
    assert.ok(checkWords(said(seen)).intact && seen.complete);
  });

  it("delay the first token behind the head", async () => {
    const seen = await call(vllm, { fault: { delayFirstTokenMs: 150 } });
    assert.ok(seen.firstByteMs - seen.headMs >= 120, `${seen.headMs}, ${seen.firstByteMs}`);
    assert.ok(checkWords(said(seen)).intact && seen.text.endsWith("data: [DONE]\n\n"));
  });

  it("answer with a status, in the words of the face", async () => {
    for (const status of [404, 429, 500, 502, 503]) {
      const seen = await call(vllm, { fault: { status, retryAfter: 7, message: "on order" } });
      assert.deepEqual([seen.status, seen.headers["retry-after"]], [status, "7"]);
      const { error } = JSON.parse(seen.text) as { error: { message: string; code: number } };
      assert.deepEqual([error.message, error.code], ["on order", status]);
      const native = await call(ollama, { fault: { status, message: "on order" } });
      assert.deepEqual(JSON.parse(native.text), { error: "on order" });
    }
  });

  it("close the connection without a word", async () => {
    const closed = await call(vllm, { fault: { cutBeforeHeaders: true } });
    assert.deepEqual([closed.status, closed.error], [0, "ECONNRESET"]);
    assert.equal(vllm.requests.last()?.ended, "fault");
  });

  it("close a connection that is used again", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const fault = { closeOnReuse: true };
    assert.equal((await call(vllm, { fault, agent, stream: false })).status, 200);
    assert.equal((await call(vllm, { fault, agent, stream: false })).error, "ECONNRESET");
    agent.destroy();
  });

  it("refuse connections for a while, then listen on the same port", async () => {
    await call(vllm, { fault: { refuseMs: 150 } });
    assert.equal((await call(vllm)).error, "ECONNREFUSED");
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal((await call(vllm)).status, 200);
  });

  it("say what is wrong with a fault", async () => {
    const seen = await call(vllm, { fault: { cut: "sideways" } as unknown as Fault });
    assert.equal(seen.status, 400);
    assert.match(seen.text, /cut must be/);
    assert.throws(() => parseFault({ delay: 3 }), /no field delay/);
    assert.throws(() => parseFault({ status: 99 }), /200 to 599/);
  });
});

describe("faults in a stream", () => {
  for (const cut of ["close", "reset", "end"] as const)
    it(`break it off after two events: ${cut}`, async () => {
      const seen = await call(vllm, { fault: { cutAfterEvents: 2, cut } });
      assert.equal(seen.complete, cut === "end");
      if (cut !== "reset") assert.equal(events(seen), 2);
      assert.ok(!seen.text.includes("[DONE]"));
      const record = vllm.requests.last();
      assert.equal(record?.ended, "fault");
      assert.equal(vllm.state().models[0]?.running, 0);
    });

  it("break it off before the marker of its end", async () => {
    const seen = await call(vllm, { fault: { cutBeforeFinal: true } });
    assert.ok(!seen.complete && !seen.text.includes("[DONE]") && checkWords(said(seen)).intact);
    const native = await call(ollama, { fault: { cutBeforeFinal: true, cut: "end" } });
    assert.ok(
      native.complete && !native.text.includes('"done":true') && checkWords(said(native)).words === 24,
    );
  });

  it("stall it until the client leaves", async () => {
    const seen = await call(vllm, { fault: { stallAfterEvents: 3 }, leaveAfterMs: 150 });
    assert.equal(events(seen), 3);
    assert.equal((await vllm.requests.until(({ ended }) => ended === "client_closed")).events, 3);
    vllm.requests.clear();
  });

  it("put an event in that is no JSON, and go on", async () => {
    const seen = await call(vllm, { fault: { malformedAfterEvents: 2 } });
    const bad = seen.text.split("\n").filter((line) => line.startsWith("data: {") && !line.endsWith("}"));
    assert.equal(bad.length, 1);
    assert.ok(checkWords(said(seen)).intact && seen.text.includes("[DONE]"));
    const native = await call(ollama, { fault: { malformedAfterEvents: 2 } });
    assert.ok(native.text.split("\n").some((line) => line !== "" && !line.endsWith("}")));
  });

  it("put the face's error in, and end", async () => {
    const seen = await call(vllm, { fault: { errorAfterEvents: 2, message: "broken" } });
    assert.match(seen.text, /data: \{"error":\{"message":"broken"[^\n]*\n\n$/);
    assert.ok(seen.complete && seen.status === 200);
    const native = await call(ollama, { fault: { errorAfterEvents: 2, message: "broken" } });
    assert.ok(native.text.endsWith('{"error":"broken"}\n'));
    const anthropic = await startSimulator({
      face: "anthropic",
      models: ["m"],
      faults: [{ errorAfterEvents: 4 }],
    });
    const body = JSON.stringify({
      model: "m",
      max_tokens: 9,
      stream: true,
      messages: [{ role: "user", content: "x" }],
    });
    const response = await fetch(`${anthropic.url}/v1/messages`, {
      method: "POST",
      body,
      headers: { "anthropic-version": "2023-06-01" },
    });
    assert.match(await response.text(), /event: error\ndata: \{"type":"error","error":\{"type":"api_error"/);
    await anthropic.close();
  });

  it("send it byte by byte, through characters and lines", async () => {
    for (const simulator of [vllm, ollama]) {
      const seen = await call(simulator, { fault: { slow: { bytes: 1, everyMs: 0 } } });
      assert.ok(checkWords(said(seen)).intact && seen.complete);
      assert.equal(checkWords(said(seen)).words, 24);
      // Some piece begins in the middle of a character.
      assert.ok(seen.chunks.some((chunk) => ((chunk[0] ?? 0) & 0xc0) === 0x80));
    }
  });

  it("end lines with CR LF, put comments between, and leave out the last line end", async () => {
    const seen = await call(vllm, { fault: { crlf: true, comments: 2, noFinalNewline: true } });
    assert.ok(seen.text.startsWith(": keep-alive\r\n\r\n: keep-alive\r\n\r\ndata: {"));
    assert.ok(seen.text.endsWith("data: [DONE]") && !/[^\r]\n/.test(seen.text));
    assert.ok(checkWords(said(seen)).intact);
    const native = await call(ollama, { fault: { crlf: true, noFinalNewline: true } });
    assert.ok(native.text.endsWith("}") && checkWords(said(native)).intact);
  });

  it("make the first event huge", async () => {
    const seen = await call(vllm, { fault: { hugeEventBytes: 3_000_000 } });
    assert.ok(seen.text.indexOf("\n\n") > 3_000_000);
    assert.ok(checkWords(said(seen)).intact);
  });
});

describe("faults in a whole answer", () => {
  it("break it off after the head, or halfway", async () => {
    for (const fault of [{ cutAfterEvents: 0 }, { cutBeforeFinal: true }]) {
      const seen = await call(vllm, { fault, stream: false });
      assert.deepEqual([seen.status, seen.complete], [200, false]);
    }
  });

  it("send it slowly, or as no JSON", async () => {
    const slow = await call(vllm, { fault: { slow: { bytes: 7, everyMs: 0 } }, stream: false });
    assert.equal((JSON.parse(slow.text) as { object: string }).object, "chat.completion");
    const bad = await call(vllm, { fault: { malformedAfterEvents: 0 }, stream: false });
    assert.ok(bad.complete);
    assert.throws(() => JSON.parse(bad.text) as unknown);
  });
});

describe("faults by configuration", () => {
  const statuses = async (options: Partial<SimulatorOptions>, times: number): Promise<number[]> => {
    const simulator = await startSimulator({ face: "vllm", models: ["m"], ...options });
    const seen: number[] = [];
    for (let at = 0; at < times; at++) seen.push((await call(simulator, { stream: false })).status);
    await simulator.close();
    return seen;
  };

  it("strike some requests by count, path, model and chance", async () => {
    assert.deepEqual(
      await statuses({ faults: [{ status: 500, skip: 1, times: 2 }] }, 5),
      [200, 500, 500, 200, 200],
    );
    assert.deepEqual(await statuses({ faults: [{ status: 500, path: "/v1/embeddings" }] }, 2), [200, 200]);
    assert.deepEqual(
      await statuses(
        {
          faults: [
            { status: 500, model: "other" },
            { status: 503, model: "m" },
          ],
        },
        2,
      ),
      [503, 503],
    );
    const chance = await statuses({ faults: [{ status: 500, probability: 0.5 }], engine: { stepMs: 0 } }, 40);
    const struck = chance.filter((status) => status === 500).length;
    assert.ok(struck > 8 && struck < 32, `${struck} of 40`);
    assert.deepEqual(
      await statuses({ faults: [{ status: 500, probability: 0.5 }], engine: { stepMs: 0 } }, 40),
      chance,
    );
  });

  it("are set and read over the control API, which they do not strike", async () => {
    const control = async (method: string, path: string, body?: unknown): Promise<unknown> => {
      const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
      return (await fetch(`${vllm.url}/simulator/${path}`, init)).json();
    };
    assert.deepEqual(await control("POST", "faults", [{ status: 502 }]), [
      { fault: { status: 502 }, struck: 0 },
    ]);
    assert.equal((await call(vllm)).status, 502);
    assert.deepEqual(await control("GET", "faults"), [{ fault: { status: 502 }, struck: 1 }]);
    assert.match(JSON.stringify(await control("POST", "faults", { nonsense: 1 })), /no field nonsense/);
    await control("DELETE", "faults");
    const seen = await call(vllm);
    assert.equal(seen.status, 200);
    const records = (await control("GET", "requests")) as { body: string; ended: string; tokens: number }[];
    assert.deepEqual([records.at(-1)?.ended, records.at(-1)?.tokens], ["completed", 24]);
    assert.match(records.at(-1)?.body ?? "", /"model":"m"/);
    const state = (await control("GET", "state")) as { face: string; active: number };
    assert.deepEqual([state.face, state.active], ["vllm", 0]);
  });
});

describe("clients that leave", () => {
  it("are noticed at once in every phase, and nothing is made for them", async (t) => {
    const slow = await startSimulator({ face: "ollama", models: [{ name: "m", loadMs: 60_000 }] });
    t.after(() => slow.close());
    const tries: [Simulator, Call][] = [
      [vllm, { fault: { delayFirstTokenMs: 5000 }, leaveAfterMs: 20 }],
      [vllm, { fault: { slow: { bytes: 1, everyMs: 50 } }, leaveAfterMs: 60 }],
    ];
    for (const [simulator, how] of tries) {
      simulator.requests.clear();
      await call(simulator, how);
      const record = await simulator.requests.until(({ ended }) => ended === "client_closed");
      assert.ok((record.endedAt ?? Infinity) - record.startedAt < 1000);
      assert.equal(simulator.state().active, 0);
    }
    const waiting = request(`${slow.url}/api/chat`, { method: "POST", agent: false });
    waiting.on("error", () => undefined);
    waiting.end(JSON.stringify({ model: "m", messages: [{ role: "user", content: "x" }] }));
    await slow.requests.until(({ bodyBytes }) => bodyBytes > 0);
    const left = performance.timeOrigin + performance.now();
    waiting.destroy();
    const record = await slow.requests.until(({ ended }) => ended === "client_closed");
    assert.ok((record.endedAt ?? Infinity) - left < 100);
    assert.equal(slow.state().waiting, 0);
  });

  it("are noticed in the middle of an upload", async () => {
    vllm.requests.clear();
    const upload = request(`${vllm.url}/v1/chat/completions`, {
      method: "POST",
      agent: false,
      headers: { "content-length": 1000 },
    });
    upload.on("error", () => undefined);
    upload.write("{");
    await vllm.requests.until(() => true);
    upload.destroy();
    await vllm.requests.until(({ ended }) => ended === "client_closed");
  });
});

describe("queues", () => {
  it("are as long as Ollama's setting, then refuse in its words", async () => {
    const simulator = await startSimulator({
      face: "ollama",
      models: [{ name: "m", loadMs: 300 }],
      hosting: { maxQueue: 2 },
    });
    const seen = await Promise.all([
      call(simulator, { path: "/api/chat" }),
      call(simulator, { path: "/api/chat" }),
      call(simulator, { path: "/api/chat" }),
    ]);
    const refused = seen.filter(({ status }) => status === 503);
    assert.equal(refused.length, 1);
    assert.deepEqual(JSON.parse(refused[0]?.text ?? ""), {
      error: "server busy, please try again.  maximum pending requests exceeded",
    });
    await simulator.close();
  });
});
