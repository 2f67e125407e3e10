// Answers of a route's first place are judged: how sure the model was, and whether they have the form that was asked for.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  askRoute,
  countedBy,
  countOf,
  cutOff,
  refuseWith,
  saysNothing,
  startEscalationBench,
  toldBy,
  untilIdle,
} from "../harness/escalation-bench.ts";
import { callers } from "../harness/chat-wire.ts";
import {
  answerWhole,
  openWithContent,
  pathOf,
  type ModelCall,
  type ModelScript,
} from "../harness/scripted-model.ts";
import { until } from "../harness/until.ts";

interface Asked {
  readonly stream?: boolean;
  readonly logprobs?: boolean;
  readonly top_logprobs?: number;
}

const asked = (call: ModelCall): Asked => JSON.parse(call.body.toString()) as Asked;

/** Answers `text` as OpenAI's API or Ollama's; where it is asked for them, with this probability of each of two tokens. */
function answer(text: string, probability: number, second = 0.01): ModelScript {
  return (call) => {
    const { stream, logprobs, top_logprobs: alternatives = 0 } = asked(call);
    const token = {
      token: "x",
      logprob: Math.log(probability),
      bytes: [120],
      top_logprobs: [probability, second]
        .slice(0, alternatives)
        .map((each) => ({ token: "y", logprob: Math.log(each) })),
    };
    const isOllama = pathOf(call).startsWith("/api/");
    const pieces = [text.slice(0, 3), text.slice(3)];
    const { response } = call;
    const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 };
    if (isOllama) {
      const told = logprobs === true ? { logprobs: [token, token] } : {};
      const end = {
        model: "small",
        created_at: "2026-01-01T00:00:00Z",
        done: true,
        done_reason: "stop",
        prompt_eval_count: 7,
        eval_count: 2,
      };
      if (stream !== false) {
        response.writeHead(200, { "content-type": "application/x-ndjson" });
        for (const content of pieces) {
          const line = {
            model: "small",
            created_at: end.created_at,
            message: { role: "assistant", content },
            done: false,
          };
          response.write(
            `${JSON.stringify({ ...line, ...(logprobs === true ? { logprobs: [token] } : {}) })}\n`,
          );
        }
        return void response.end(
          `${JSON.stringify({ ...end, message: { role: "assistant", content: "" } })}\n`,
        );
      }
      response.writeHead(200, { "content-type": "application/json" });
      return void response.end(
        JSON.stringify({ ...end, message: { role: "assistant", content: text }, ...told }),
      );
    }
    const told = (tokens: number): object | null =>
      logprobs === true ? { content: Array.from({ length: tokens }, () => token) } : null;
    const shared = { id: "a", created: 1, model: "small" };
    if (stream === true) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const content of pieces) {
        const choices = [
          { index: 0, delta: { role: "assistant", content }, logprobs: told(1), finish_reason: null },
        ];
        response.write(
          `data: ${JSON.stringify({ ...shared, object: "chat.completion.chunk", choices })}\n\n`,
        );
      }
      const choices = [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }];
      response.write(`data: ${JSON.stringify({ ...shared, object: "chat.completion.chunk", choices })}\n\n`);
      response.write(
        `data: ${JSON.stringify({ ...shared, object: "chat.completion.chunk", choices: [], usage })}\n\n`,
      );
      return void response.end("data: [DONE]\n\n");
    }
    const choices = [
      { index: 0, message: { role: "assistant", content: text }, logprobs: told(2), finish_reason: "stop" },
    ];
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ ...shared, object: "chat.completion", choices, usage }));
  };
}

const confidence = { when: { confidence: 0.6 } };

describe("an answer that the model was not sure of", () => {
  for (const dialect of ["openai", "ollama"] as const) {
    for (const caller of ["chat", "ollama chat", "messages"] as const) {
      it(`is asked elsewhere, a sure one is given: ${caller} over ${dialect}`, async (t) => {
        const other = dialect === "openai" ? "ollama" : "openai";
        const bench = await startEscalationBench(t, {
          edge: answer("unsure", 0.5),
          dialects: [dialect, other],
          escalate: confidence,
        });
        const unsure = await askRoute(bench, { caller }).ended();
        assert.deepEqual(toldBy(unsure), [200, "cloud", "confidence", undefined], unsure.text);
        assert.ok(unsure.text.includes("one two"), unsure.text);
        bench.edge.script = answer("sure enough", 0.7);
        const sure = await askRoute(bench, { caller }).ended();
        assert.deepEqual(toldBy(sure), [200, "edge", undefined, undefined], sure.text);
        assert.ok(sure.text.includes("sure enough") && !sure.text.includes('"logprob"'), sure.text);
        assert.deepEqual(
          bench.edge.calls.map((call) => asked(call).logprobs),
          [true, true],
        );
        assert.equal(asked(bench.cloud.calls[0] ?? assert.fail()).logprobs, undefined);
        assert.deepEqual(await countedBy(bench), [countOf("confidence", "answered")]);
        await untilIdle(bench);
      });
    }
  }

  it("by little distance to the next token", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: answer("a", 0.5, 0.45),
      escalate: { when: { margin: 0.1 } },
    });
    assert.deepEqual(toldBy(await askRoute(bench).ended()), [200, "cloud", "margin", undefined]);
    bench.edge.script = answer("a", 0.5, 0.3);
    assert.deepEqual(toldBy(await askRoute(bench).ended()), [200, "edge", undefined, undefined]);
    assert.equal(asked(bench.edge.calls[0] ?? assert.fail()).top_logprobs, 2);
  });

  it("keeps log-probabilities for a caller who asks for them", async (t) => {
    const bench = await startEscalationBench(t, { edge: answer("sure", 0.9), escalate: confidence });
    const call = await askRoute(bench, { more: { logprobs: true, top_logprobs: 1 } }).ended();
    assert.ok(call.text.includes('"logprob":'), call.text);
    assert.equal(asked(bench.edge.calls[0] ?? assert.fail()).top_logprobs, 1);
    const other = await askRoute(bench, { more: { logprobs: false } }).ended();
    assert.ok(other.status === 200 && !other.text.includes('"logprob":'), other.text);
  });

  it("is given where nobody else answers, with both uses counted", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: answer("unsure", 0.2),
      cloud: cutOff,
      escalate: confidence,
    });
    const call = await askRoute(bench, { headers: { "x-request-id": "kept-1" } }).ended();
    assert.deepEqual(toldBy(call), [200, "edge", "confidence", "cloud_failed"], call.text);
    assert.ok(call.text.includes("unsure"));
    assert.deepEqual(await countedBy(bench), [countOf("confidence", "kept")]);
    const told = await (await fetch(`${bench.gateway.url}/admin/decisions/kept-1`)).json();
    const { asked: legs } = (
      told as { escalation: { asked: { pool: string; usage: { prompt_tokens: number } | null }[] } }
    ).escalation;
    assert.deepEqual(
      legs.map(({ pool }) => pool),
      ["edge", "cloud"],
    );
    assert.equal(legs[0]?.usage?.prompt_tokens, 7);
    bench.cloud.script = refuseWith(429);
    assert.deepEqual(toldBy(await askRoute(bench).ended()), [200, "edge", "confidence", "cloud_failed"]);
    await untilIdle(bench);
  });

  it("is given where it may not leave", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: answer("unsure", 0.2),
      escalate: { ...confidence, budget: { perMinute: 1 } },
    });
    const secret = await askRoute(bench, { headers: { "x-spillway-privacy": "local" } }).ended();
    assert.deepEqual(toldBy(secret), [200, "edge", undefined, undefined]);
    assert.deepEqual(toldBy(await askRoute(bench).ended()), [200, "cloud", "confidence", undefined]);
    assert.deepEqual(toldBy(await askRoute(bench).ended()), [200, "edge", "confidence", "budget"]);
    assert.equal(bench.cloud.calls.length, 1);
  });

  it("is not known of a server that refuses to tell, which is asked again without", async (t) => {
    const plain = answer("plain", 0.2);
    const bench = await startEscalationBench(t, {
      edge: (call) => (asked(call).logprobs === undefined ? plain(call) : refuseWith(400)(call)),
      escalate: confidence,
    });
    for (let turn = 0; turn < 2; turn++) {
      assert.deepEqual(toldBy(await askRoute(bench).ended()), [200, "edge", undefined, undefined]);
    }
    assert.deepEqual(
      bench.edge.calls.map((call) => asked(call).logprobs),
      [true, undefined, undefined],
    );
    bench.edge.script = refuseWith(400);
    assert.equal((await askRoute(bench).ended()).status, 400);
    await untilIdle(bench);
  });
});

describe("a stream", () => {
  it("is not judged unless it is held back", async (t) => {
    const bench = await startEscalationBench(t, { edge: answer("unsure", 0.2), escalate: confidence });
    const call = await askRoute(bench, { stream: true }).ended();
    assert.deepEqual(toldBy(call), [200, "edge", undefined, undefined]);
    assert.equal(asked(bench.edge.calls[0] ?? assert.fail()).logprobs, undefined);
  });

  for (const dialect of ["openai", "ollama"] as const) {
    for (const caller of ["chat", "ollama chat", "messages"] as const) {
      it(`is held back and judged: ${caller} over ${dialect}`, async (t) => {
        const bench = await startEscalationBench(t, {
          edge: answer("unsure", 0.5),
          dialects: [dialect, "openai"],
          escalate: { ...confidence, holdback: "answer" },
        });
        const wire = callers[caller];
        const unsure = await askRoute(bench, { caller, stream: true }).ended();
        assert.deepEqual(toldBy(unsure), [200, "cloud", "confidence", undefined], unsure.text);
        assert.deepEqual([wire.textOf(unsure.text), wire.isWhole(unsure.text)], ["one two", true]);
        bench.edge.script = answer("sure enough", 0.7);
        const sure = await askRoute(bench, { caller, stream: true }).ended();
        assert.deepEqual(toldBy(sure), [200, "edge", undefined, undefined]);
        assert.deepEqual([wire.textOf(sure.text), wire.isWhole(sure.text)], ["sure enough", true]);
        assert.ok(!sure.text.includes('"logprob"'), sure.text);
        await untilIdle(bench);
      });
    }
  }

  it("of the other place that breaks is none: the answer in hand is given", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: answer("unsure", 0.5),
      cloud: (call) => {
        openWithContent(call);
        setTimeout(() => call.socket.destroy(), 30);
      },
      escalate: { ...confidence, holdback: "answer" },
    });
    const call = await askRoute(bench, { stream: true }).ended();
    assert.deepEqual(toldBy(call), [200, "edge", "confidence", "cloud_failed"]);
    assert.deepEqual([callers.chat.textOf(call.text), callers.chat.isWhole(call.text)], ["unsure", true]);
    await untilIdle(bench);
  });

  it("that is held back and breaks is replaced", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: (call) => {
        openWithContent(call, "half ");
        setTimeout(() => call.socket.destroy(), 30);
      },
      escalate: { ...confidence, holdback: "answer" },
    });
    const call = await askRoute(bench, { stream: true }).ended();
    assert.deepEqual(toldBy(call), [200, "cloud", "offline", undefined]);
    assert.equal(callers.chat.textOf(call.text), "one two");
  });

  it("longer than what is held back is given as it is", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: answer("long ".repeat(40_000), 0.2),
      escalate: { ...confidence, holdback: "answer", maxHeld: "64KiB" },
    });
    const call = await askRoute(bench, { stream: true }).ended();
    assert.deepEqual(toldBy(call), [200, "edge", undefined, undefined]);
    assert.equal(callers.chat.textOf(call.text).length, 200_000);
    assert.equal(bench.cloud.calls.length, 0);
  });
});

describe("an answer that is to be JSON", () => {
  const schema = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
  const asks = {
    chat: { response_format: { type: "json_schema", json_schema: { name: "a", schema } } },
    "ollama chat": { format: schema },
  } as const;
  for (const dialect of ["openai", "ollama"] as const) {
    for (const caller of ["chat", "ollama chat"] as const) {
      it(`is asked elsewhere where it is not: ${caller} over ${dialect}`, async (t) => {
        const bench = await startEscalationBench(t, {
          edge: answer('{"n":"one"}', 1),
          dialects: [dialect, "openai"],
          escalate: { when: { schema: true } },
        });
        const more = asks[caller];
        assert.deepEqual(toldBy(await askRoute(bench, { caller, more }).ended()), [
          200,
          "cloud",
          "schema",
          undefined,
        ]);
        bench.edge.script = answer('{"n":', 1);
        assert.deepEqual(toldBy(await askRoute(bench, { caller, more }).ended()), [
          200,
          "cloud",
          "schema",
          undefined,
        ]);
        bench.edge.script = answer('{"n":1}', 1);
        assert.deepEqual(toldBy(await askRoute(bench, { caller, more }).ended()), [
          200,
          "edge",
          undefined,
          undefined,
        ]);
        bench.edge.script = answer("no JSON at all", 1);
        assert.deepEqual(toldBy(await askRoute(bench, { caller }).ended()), [
          200,
          "edge",
          undefined,
          undefined,
        ]);
      });
    }
  }
});

describe("a caller who leaves", () => {
  for (const stream of [false, true]) {
    it(`while a second answer is made, ${stream ? "streamed" : "whole"}`, async (t) => {
      const bench = await startEscalationBench(t, {
        edge: answer("unsure", 0.2),
        cloud: stream ? (call) => void openWithContent(call) : saysNothing,
        escalate: { ...confidence, holdback: "answer" },
      });
      const call = askRoute(bench, { stream });
      await until("the other place is asked", () => bench.cloud.calls.length === 1);
      call.leave();
      await until("its connection is closed", () => bench.cloud.calls[0]?.closedAt !== undefined);
      await until(
        "it is counted",
        async () => (await countedBy(bench))[0] === countOf("confidence", "client_gone"),
      );
      await untilIdle(bench);
    });
  }

  it("while the first answer is held back", async (t) => {
    const bench = await startEscalationBench(t, {
      edge: (call) => void openWithContent(call),
      cloud: answerWhole,
      escalate: { ...confidence, holdback: "answer" },
    });
    const call = askRoute(bench, { stream: true });
    await until("the first place is asked", () => bench.edge.calls.length === 1);
    call.leave();
    await until("its connection is closed", () => bench.edge.calls[0]?.closedAt !== undefined);
    await untilIdle(bench);
    assert.equal(bench.cloud.calls.length, 0);
  });
});
