/** The npm client `@anthropic-ai/sdk` through a whole gateway, against every kind of pool. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import Anthropic, { APIError, APIUserAbortError } from "@anthropic-ai/sdk";
import {
  answerWords,
  assertForecast,
  assertWords,
  forecasts,
  forecastSchema,
  limit,
  picture,
  prompts,
  serveMatrix,
  streamBreaks,
  unseenBreaks,
} from "./matrix.ts";
import { poolKinds } from "./pool-kinds.ts";

type Ask = Partial<Anthropic.MessageCreateParamsNonStreaming>;

const matrix = serveMatrix();
const client = (): Anthropic => new Anthropic({ baseURL: matrix.url(), apiKey: "none", maxRetries: 0 });
const saying = (content: string): Anthropic.MessageParam[] => [{ role: "user", content }];
const messages = saying(prompts.plain);
const tools: Anthropic.Tool[] = [
  { name: "forecast", input_schema: { ...forecastSchema, required: [...forecastSchema.required] } },
];

function textOf({ content }: Anthropic.Message): string {
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

function thinkingOf({ content }: Anthropic.Message): string {
  return content.map((block) => (block.type === "thinking" ? block.thinking : "")).join("");
}

function callsOf({ content }: Anthropic.Message): Anthropic.ToolUseBlock[] {
  const calls = content.filter((block) => block.type === "tool_use");
  for (const { name, input } of calls) {
    assert.equal(name, "forecast");
    assertForecast(input);
  }
  return calls;
}

for (const kind of poolKinds) {
  const { model, ends } = kind;
  const plain = { model, messages, max_tokens: 4000 };
  const asks = {
    whole: (more: Ask = {}) => client().messages.create({ ...plain, ...more, stream: false }),
    streamed: (more: Ask = {}) =>
      client()
        .messages.stream({ ...plain, ...more })
        .finalMessage(),
  };
  const isTranslated = ends.messages !== "/v1/messages";

  for (const [how, ask] of Object.entries(asks)) {
    describe(`anthropic messages, ${how}, over ${kind.name}`, limit, () => {
      it("says a text", async () => {
        const answer = await ask({ system: "Be short" });
        assertWords(textOf(answer));
        assert.deepEqual([answer.stop_reason, answer.usage.output_tokens], ["end_turn", answerWords]);
        assert.deepEqual([answer.role, answer.model], ["assistant", model]);
        assert.match(matrix.cameBy(kind, "messages").body, /Be short/);
      });

      it("says what cut a text short", async () => {
        const answer = await ask({ max_tokens: 5 });
        assertWords(textOf(answer), 5);
        assert.deepEqual([answer.stop_reason, answer.usage.output_tokens], ["max_tokens", 5]);
      });

      it("calls a tool and answers its result", async () => {
        const answer = await ask({ tools });
        assert.equal(answer.stop_reason, "tool_use");
        const [call, ...others] = callsOf(answer);
        assert.ok(call && others.length === 0);
        const result = { type: "tool_result", tool_use_id: call.id, content: "rain at noon" } as const;
        const told = await ask({
          messages: [
            ...messages,
            { role: "assistant", content: answer.content },
            { role: "user", content: [result] },
          ],
          tools,
        });
        assertWords(textOf(told));
        assert.match(matrix.cameBy(kind, "messages").body, /rain at noon/);
      });

      it("calls two tools at once", async () => {
        const calls = callsOf(await ask({ messages: saying(prompts.callTwice), tools }));
        assert.deepEqual(
          calls.map(({ input }) => (input as { city: unknown }).city),
          forecasts,
        );
        assert.equal(new Set(calls.map(({ id }) => id)).size, 2);
      });

      it("answers JSON of a schema", async () => {
        const format = { type: "json_schema", schema: forecastSchema } as const;
        assertForecast(JSON.parse(textOf(await ask({ output_config: { format } }))));
      });

      it("thinks", async () => {
        const answer = await ask({ thinking: { type: "enabled", budget_tokens: 1024 } });
        assertWords(textOf(answer));
        assertWords(thinkingOf(answer), kind.tellsThinking ? 8 : 0);
      });

      it("shows a picture", async () => {
        const source = { type: "base64", media_type: "image/png", data: picture } as const;
        const content = [
          { type: "text", text: prompts.plain },
          { type: "image", source },
        ] as const;
        const answer = await ask({ messages: [{ role: "user", content: [...content] }] });
        assertWords(textOf(answer));
        assert.ok(matrix.cameBy(kind, "messages").body.includes(picture));
      });
    });
  }

  describe(`anthropic count of tokens over ${kind.name}`, limit, () => {
    it("counts, where a server does", async () => {
      const counted = client().messages.countTokens({ model, messages });
      if (ends.countTokens === undefined) {
        await assert.rejects(counted, isRefusal(400, "invalid_request_error", /model: .* counts no tokens/));
        return;
      }
      assert.ok((await counted).input_tokens > 0);
      matrix.cameBy(kind, "countTokens");
    });
  });

  describe(`anthropic messages that go wrong over ${kind.name}`, limit, () => {
    for (const [what, fault] of Object.entries(streamBreaks)) {
      it(`hears of ${what}`, async () => {
        await matrix.broken(kind, fault, () => assert.rejects(asks.streamed(), APIError));
      });
    }

    for (const [what, fault] of Object.entries(unseenBreaks)) {
      it(`does not notice ${what}`, async () => {
        await matrix.halfBroken(kind, fault, async () => assertWords(textOf(await asks.streamed())));
      });
    }

    it("ends the work when the client leaves a stream", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const stream = client().messages.stream({ ...plain, messages: saying(prompts.endless) });
        let words = 0;
        stream.on("text", () => {
          if (++words < 5) return;
          leave();
          stream.abort();
        });
        await assert.rejects(stream.done(), APIUserAbortError);
      });
    });

    it("ends the work when the client leaves before the answer", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const left = new AbortController();
        const endless = { ...plain, messages: saying(prompts.endless) };
        const answer = client().messages.create(endless, { signal: left.signal });
        await matrix.atWork(kind);
        leave();
        left.abort();
        await assert.rejects(answer, APIUserAbortError);
      });
    });

    const unreadable = { stream: { stream: "yes" } };
    const uncarried = {
      "tools[0].type": { tools: [{ type: "web_search_20250305", name: "web_search" }] },
      "messages[0].content[0].source.type": {
        messages: [{ role: "user", content: [{ type: "document", source: {} }] }],
      },
      mcp_servers: { mcp_servers: [{ name: "x" }] },
      max_tokens: { max_tokens: 0 },
    };
    const remote = { type: "image", source: { type: "url", url: "https://example.com/a.png" } };
    const uncarriedTo: Readonly<Record<string, object>> = {
      "/api/chat": {
        tool_choice: { tools, tool_choice: { type: "any" } },
        "tool_choice.disable_parallel_tool_use": {
          tools,
          tool_choice: { type: "auto", disable_parallel_tool_use: true },
        },
        "image.source.url": { messages: [{ role: "user", content: [remote] }] },
      },
    };
    const refused = isTranslated ? { ...uncarried, ...uncarriedTo[ends.messages ?? ""] } : {};
    for (const [field, more] of Object.entries({ ...unreadable, ...refused })) {
      it(`refuses ${field} by name`, async () => {
        const body = { ...plain, ...more } as unknown as Anthropic.MessageCreateParams;
        await assert.rejects(
          client().messages.create(body),
          (error) => isRefusal(400, "invalid_request_error", /./)(error) && String(error).includes(field),
        );
      });
    }

    it("takes the result of a tool that is a picture", async () => {
      const pixel = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" };
      const result = { type: "tool_result", tool_use_id: "a", content: [{ type: "image", source: pixel }] };
      const messages = [
        { role: "user", content: "What is on the screen?" },
        { role: "assistant", content: [{ type: "tool_use", id: "a", name: "look", input: {} }] },
        { role: "user", content: [result] },
      ];
      const body = { ...plain, messages } as unknown as Anthropic.MessageCreateParamsNonStreaming;
      assert.equal((await client().messages.create(body)).role, "assistant");
    });

    it("says that a model is not there", async () => {
      const nobodys = { ...plain, model: "nobodys" };
      const notFound = isRefusal(404, "not_found_error", /nobodys/);
      await assert.rejects(client().messages.create(nobodys), notFound);
      await assert.rejects(client().messages.stream(nobodys).finalMessage(), notFound);
    });

    it("tells of a server that fails", async () => {
      await matrix.broken(kind, { status: 500, message: "out of memory" }, () =>
        assert.rejects(asks.whole(), isRefusal(500, "api_error", /out of memory/)),
      );
    });

    it("tells of a limit, and how long to wait", async () => {
      await matrix.broken(kind, { status: 429, retryAfter: 7 }, () =>
        assert.rejects(asks.whole(), (error) => {
          isRefusal(429, "rate_limit_error", /./)(error);
          assert.equal((error as APIError).headers?.get("retry-after"), "7");
          return true;
        }),
      );
    });
  });
}

it("anthropic lists the models of every pool", limit, async () => {
  const listed: string[] = [];
  for await (const { id } of client().models.list()) listed.push(id);
  for (const { model } of poolKinds) assert.ok(listed.includes(model), model);
});

/** A refusal with this status, type and words. */
function isRefusal(status: number, type: string, words: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof APIError, String(error));
    assert.equal(error.status, status);
    assert.equal(error.type, type);
    assert.match(error.message, words);
    return true;
  };
}
