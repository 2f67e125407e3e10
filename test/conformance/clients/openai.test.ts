/** The npm client `openai` through a whole gateway, against every kind of pool. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import OpenAI, {
  APIError,
  APIUserAbortError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from "openai";
import { isBadRequest } from "./openai-errors.ts";
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

type Messages = OpenAI.ChatCompletionMessageParam[];

const matrix = serveMatrix();
const client = (): OpenAI => new OpenAI({ baseURL: `${matrix.url()}/v1`, apiKey: "none", maxRetries: 0 });
const saying = (content: string): Messages => [{ role: "user", content }];
const messages = saying(prompts.plain);
const tools: OpenAI.ChatCompletionFunctionTool[] = [
  { type: "function", function: { name: "forecast", parameters: forecastSchema } },
];
const schemaFormat = { name: "forecast", schema: forecastSchema, strict: true };
const imageUrl = `data:image/png;base64,${picture}`;

/** All that a stream says. */
async function readStream(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  let text = "";
  let thinking = "";
  let finish: string | null = null;
  const usages: number[] = [];
  for await (const { choices, usage } of stream) {
    const [choice] = choices;
    text += choice?.delta.content ?? "";
    thinking += thinkingOf(choice?.delta ?? {});
    finish = choice?.finish_reason ?? finish;
    if (usage) usages.push(usage.completion_tokens);
  }
  return { text, thinking, finish, usages };
}

/** OpenAI's API has no field for it; servers have two. */
function thinkingOf(message: object): string {
  const { reasoning, reasoning_content: content } = message as Record<string, unknown>;
  const thought = content ?? reasoning;
  return typeof thought === "string" ? thought : "";
}

function calledForecasts(calls: OpenAI.ChatCompletionMessageToolCall[] | undefined): unknown[] {
  return (calls ?? []).map((call) => {
    assert.ok(call.type === "function");
    assert.equal(call.function.name, "forecast");
    const value: unknown = JSON.parse(call.function.arguments);
    assertForecast(value);
    return (value as { city: unknown }).city;
  });
}

for (const kind of poolKinds) {
  const { model, ends } = kind;
  describe(`openai chat completions over ${kind.name}`, limit, () => {
    it("says a whole text", async () => {
      const answer = await client().chat.completions.create({ model, messages, max_tokens: 5 });
      const [choice] = answer.choices;
      assertWords(choice?.message.content, 5);
      assert.deepEqual([choice?.finish_reason, answer.usage?.completion_tokens], ["length", 5]);
      assert.equal(answer.model, model);
      matrix.cameBy(kind, "chat");
    });

    it("streams a text, with and without usage", async () => {
      const ask = { model, messages, stream: true } as const;
      const plain = await readStream(await client().chat.completions.create(ask));
      assertWords(plain.text);
      assert.deepEqual([plain.finish, plain.usages], ["stop", []]);
      const options = { ...ask, stream_options: { include_usage: true } };
      const counted = await readStream(await client().chat.completions.create(options));
      assertWords(counted.text);
      assert.deepEqual(counted.usages, [answerWords]);
      matrix.cameBy(kind, "chat");
    });

    it("calls a tool and answers its result, whole and streamed", async () => {
      const ask = { model, messages, tools };
      const whole = await client().chat.completions.create(ask);
      assert.equal(whole.choices[0]?.finish_reason, "tool_calls");
      const streamed = await client().chat.completions.stream(ask).finalChatCompletion();
      for (const { choices } of [whole, streamed]) {
        const message = choices[0]?.message;
        assert.ok(message);
        const [call, ...others] = message.tool_calls ?? [];
        assert.ok(call && others.length === 0);
        assert.equal(calledForecasts([call]).length, 1);
        const result = { role: "tool", tool_call_id: call.id, content: "rain in the evening" } as const;
        const told = [...messages, message, result];
        const answer = await client().chat.completions.create({ model, messages: told, tools });
        assertWords(answer.choices[0]?.message.content);
        assert.match(matrix.cameBy(kind, "chat").body, /rain in the evening/);
      }
    });

    it("calls two tools at once", async () => {
      const ask = { model, messages: saying(prompts.callTwice), tools };
      const whole = await client().chat.completions.create(ask);
      const streamed = await client().chat.completions.stream(ask).finalChatCompletion();
      for (const { choices } of [whole, streamed]) {
        const calls = choices[0]?.message.tool_calls;
        assert.deepEqual(calledForecasts(calls), forecasts);
        assert.equal(new Set(calls?.map(({ id }) => id)).size, 2);
      }
    });

    it("goes on with a conversation that another server began", async () => {
      const id = "functions.forecast:0";
      const call = { id, type: "function", function: { name: "forecast", arguments: "{}" } } as const;
      const told: Messages = [
        { role: "developer", content: "Be short" },
        ...messages,
        { role: "assistant", content: "", tool_calls: [call] },
        { role: "tool", tool_call_id: id, content: "" },
        { role: "user", content: "And tomorrow?" },
      ];
      const bare = [{ type: "function", function: { name: "forecast", parameters: {} } } as const];
      const ask = { model, messages: told, tools: bare, tool_choice: "none" } as const;
      assertWords((await client().chat.completions.create(ask)).choices[0]?.message.content);
    });

    it("answers JSON of a schema", async () => {
      const format = { type: "json_schema", json_schema: schemaFormat } as const;
      const ask = { model, messages, response_format: format };
      const answer = await client().chat.completions.create(ask);
      assertForecast(JSON.parse(answer.choices[0]?.message.content ?? ""));
      const streamed = await readStream(await client().chat.completions.create({ ...ask, stream: true }));
      assertForecast(JSON.parse(streamed.text));
    });

    it("thinks", async () => {
      const ask = { model, messages, reasoning_effort: "high" } as const;
      const whole = await client().chat.completions.create(ask);
      const streamed = await readStream(await client().chat.completions.create({ ...ask, stream: true }));
      assertWords(whole.choices[0]?.message.content);
      assertWords(streamed.text);
      for (const thought of [thinkingOf(whole.choices[0]?.message ?? {}), streamed.thinking]) {
        assertWords(thought, kind.tellsThinking ? 8 : 0);
      }
    });

    it("shows a picture", async () => {
      const image = { type: "image_url", image_url: { url: imageUrl } } as const;
      const content = [{ type: "text", text: prompts.plain } as const, image];
      const shown: Messages = [{ role: "user", content }];
      assertWords(
        (await client().chat.completions.create({ model, messages: shown })).choices[0]?.message.content,
      );
      assert.ok(matrix.cameBy(kind, "chat").body.includes(picture));
    });

    for (const [what, fault] of Object.entries(streamBreaks)) {
      it(`hears of ${what}`, async () => {
        await matrix.broken(kind, fault, async () => {
          const stream = await client().chat.completions.create({ model, messages, stream: true });
          await assert.rejects(readStream(stream), APIError);
        });
      });
    }

    it("hears of a whole answer that is cut", async () => {
      await matrix.broken(kind, { cutBeforeFinal: true }, () =>
        assert.rejects(client().chat.completions.create({ model, messages })),
      );
    });

    for (const [what, fault] of Object.entries(unseenBreaks)) {
      it(`does not notice ${what}`, async () => {
        await matrix.halfBroken(kind, fault, async () => {
          assertWords(
            (await readStream(await client().chat.completions.create({ model, messages, stream: true })))
              .text,
          );
        });
      });
    }
  });

  describe(`openai completions and embeddings over ${kind.name}`, limit, () => {
    it("completes a text", async () => {
      const ask = { model, prompt: "once upon", max_tokens: 6 };
      if (ends.completions === undefined) {
        await assert.rejects(client().completions.create(ask), isBadRequest("model"));
        return;
      }
      assertWords((await client().completions.create(ask)).choices[0]?.text, 6);
      let text = "";
      for await (const { choices, usage } of await client().completions.create({ ...ask, stream: true })) {
        text += choices[0]?.text ?? "";
        assert.ok(!usage);
      }
      assertWords(text, 6);
      matrix.cameBy(kind, "completions");
    });

    it("embeds", async () => {
      const ask = { model, input: ["a", "b"], dimensions: 8 };
      if (ends.embeddings === undefined) {
        await assert.rejects(client().embeddings.create(ask), isBadRequest("model"));
        return;
      }
      for (const format of ["float", "base64", undefined] as const) {
        const { data, usage } = await client().embeddings.create(
          format === undefined ? ask : { ...ask, encoding_format: format },
        );
        // Unlike the client's own choice, base64 that was asked for is not decoded.
        const lengths = data.map(
          ({ embedding }) => Buffer.from(embedding as unknown as string, "base64").length,
        );
        assert.deepEqual(
          format === "base64" ? lengths : data.map(({ embedding }) => 4 * embedding.length),
          [32, 32],
        );
        assert.ok(usage.prompt_tokens > 0);
      }
      matrix.cameBy(kind, "embeddings");
    });
  });

  describe(`openai chat completions that go wrong over ${kind.name}`, limit, () => {
    const endless = { model, messages: saying(prompts.endless) };

    it("ends the work when the client leaves a stream", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const stream = await client().chat.completions.create({ ...endless, stream: true });
        let words = 0;
        for await (const _ of stream) {
          if (++words < 5) continue;
          leave();
          stream.controller.abort();
        }
      });
    });

    for (const stream of [false, true]) {
      it(`ends the work when the client leaves before ${stream ? "the first event" : "the answer"}`, async () => {
        await matrix.broken(kind, stream ? { delayFirstTokenMs: 10_000 } : {}, () =>
          matrix.noticesLeaving(kind, async (leave) => {
            const abort = new AbortController();
            const answer = client().chat.completions.create({ ...endless, stream }, { signal: abort.signal });
            await matrix.atWork(kind);
            leave();
            abort.abort();
            await assert.rejects(answer, APIUserAbortError);
          }),
        );
      });
    }

    const unreadable = [
      ["stream", { stream: "yes" }],
      ["model", { model: 7 }],
    ] as const;
    const uncarried = [
      ["n", { n: 2 }],
      ["audio", { modalities: ["text", "audio"], audio: { format: "wav", voice: "alloy" } }],
      ["messages[0].content[0]", { messages: [{ role: "user", content: [{ type: "file", file: {} }] }] }],
      ["seed", { seed: 1 }],
      ["frequency_penalty", { frequency_penalty: 1 }],
      ["logit_bias", { logit_bias: { "50": 1 } }],
      ["logprobs", { logprobs: true }],
      ["temperature", { temperature: 1.5 }],
      ["response_format", { response_format: { type: "json_object" } }],
    ] as const;
    const isTranslated = ends.chat !== "/v1/chat/completions";
    for (const [field, wrong] of [...unreadable, ...(isTranslated ? uncarried : [])]) {
      it(`refuses ${field} by name`, async () => {
        const body = { model, messages, ...wrong } as unknown as OpenAI.ChatCompletionCreateParams;
        await assert.rejects(client().chat.completions.create(body), isBadRequest(field));
      });
    }

    it("tells of a server that fails", async () => {
      await matrix.broken(kind, { status: 500, message: "out of memory" }, async () => {
        await assert.rejects(client().chat.completions.create({ model, messages }), (error) => {
          assert.ok(error instanceof InternalServerError);
          assert.match(error.message, /^500 out of memory/);
          return true;
        });
      });
    });

    it("tells of a limit, and how long to wait", async () => {
      await matrix.broken(kind, { status: 429, retryAfter: 7 }, async () => {
        await assert.rejects(client().chat.completions.create({ model, messages }), (error) => {
          assert.ok(error instanceof RateLimitError, String(error));
          assert.equal(error.headers?.get("retry-after"), "7");
          return true;
        });
      });
    });
  });
}

describe("what openai is told of models", limit, () => {
  it("lists the models of every pool", async () => {
    const listed = (await client().models.list()).data.map(({ id }) => id);
    for (const { model } of poolKinds) assert.ok(listed.includes(model), model);
  });

  it("describes one", async () => {
    for (const { model } of poolKinds) assert.equal((await client().models.retrieve(model)).id, model);
    await assert.rejects(client().models.retrieve("nobodys"), NotFoundError);
  });

  it("says that a model is not there", async () => {
    const calls: (() => Promise<unknown>)[] = [
      () => client().chat.completions.create({ model: "nobodys", messages }),
      () => client().chat.completions.create({ model: "nobodys", messages, stream: true }),
      () => client().completions.create({ model: "nobodys", prompt: "x" }),
      () => client().embeddings.create({ model: "nobodys", input: "x" }),
    ];
    for (const call of calls) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof NotFoundError);
        assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
        return true;
      });
    }
  });
});
