/** The npm client `ai` with `@ai-sdk/openai-compatible` through a whole gateway, against every kind of pool. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TextStreamPart, ToolSet } from "ai";
import "../../harness/published-packages.ts";
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

const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
const { APICallError, embedMany, generateText, isStepCount, jsonSchema, Output, streamText, tool } =
  await import("ai");

// Completions have no tools, which the client says on the console.
globalThis.AI_SDK_LOG_WARNINGS = false;

interface Forecast {
  readonly city: string;
  readonly days: number;
}

const matrix = serveMatrix();
const provider = () =>
  createOpenAICompatible({
    name: "spillway",
    baseURL: `${matrix.url()}/v1`,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
const schema = jsonSchema<Forecast>({ ...forecastSchema, required: [...forecastSchema.required] });
const maxRetries = 0;
const prompt = prompts.plain;
const silently = { onError: () => {} };

/** A tool that notes what it was asked. */
function forecastTool() {
  const asked: Forecast[] = [];
  const execute = (forecast: Forecast): string => {
    assertForecast(forecast);
    asked.push(forecast);
    return `rain in ${forecast.city}`;
  };
  return { asked, tools: { forecast: tool({ inputSchema: schema, execute }) } };
}

/** All that a stream says; throws the error it tells of. */
async function readStream(stream: AsyncIterable<TextStreamPart<ToolSet>>) {
  let text = "";
  let thinking = "";
  for await (const part of stream) {
    if (part.type === "text-delta") text += part.text;
    if (part.type === "reasoning-delta") thinking += part.text;
    if (part.type === "error") throw part.error;
  }
  return { text, thinking };
}

for (const kind of poolKinds) {
  const model = () => provider()(kind.model);
  const ask = () => ({ model: model(), prompt, maxRetries, ...silently });

  describe(`ai over ${kind.name}`, limit, () => {
    it("says a whole text", async () => {
      const answer = await generateText({ ...ask(), maxOutputTokens: 5 });
      assertWords(answer.text, 5);
      assert.deepEqual([answer.finishReason, answer.usage.outputTokens], ["length", 5]);
      matrix.cameBy(kind, "chat");
    });

    it("streams a text", async () => {
      const answer = streamText(ask());
      assertWords((await readStream(answer.stream)).text);
      assert.deepEqual([await answer.finishReason, (await answer.usage).outputTokens], ["stop", answerWords]);
      matrix.cameBy(kind, "chat");
    });

    it("calls a tool and goes on with its result, whole and streamed", async () => {
      const { asked, tools } = forecastTool();
      const stopWhen = isStepCount(2);
      const whole = await generateText({ ...ask(), tools, stopWhen });
      assertWords(whole.text);
      const streamed = streamText({ ...ask(), tools, stopWhen });
      assertWords((await readStream(streamed.stream)).text);
      assert.equal(asked.length, 2);
      assert.match(matrix.cameBy(kind, "chat").body, /rain in/);
    });

    it("calls two tools at once", async () => {
      const two = { ...ask(), prompt: prompts.callTwice };
      for (const run of [
        async (tools: ToolSet) => void (await generateText({ ...two, tools })),
        async (tools: ToolSet) => void (await readStream(streamText({ ...two, tools }).stream)),
      ]) {
        const { asked, tools } = forecastTool();
        await run(tools);
        assert.deepEqual(
          asked.map(({ city }) => city),
          forecasts,
        );
      }
    });

    it("answers an object of a schema", async () => {
      const output = Output.object({ schema, name: "forecast" });
      assertForecast((await generateText({ ...ask(), output })).output);
      const streamed = streamText({ ...ask(), output });
      await readStream(streamed.stream);
      assertForecast(await streamed.output);
    });

    it("thinks", async () => {
      const thinking = { ...ask(), reasoning: "high" } as const;
      const whole = await generateText(thinking);
      const streamed = await readStream(streamText(thinking).stream);
      for (const said of [{ text: whole.text, thinking: whole.reasoningText ?? "" }, streamed]) {
        assertWords(said.text);
        assertWords(said.thinking, kind.tellsThinking ? 8 : 0);
      }
    });

    it("shows a picture", async () => {
      const image = { type: "file", mediaType: "image/png", data: picture } as const;
      const content = [{ type: "text", text: prompt } as const, image];
      const messages = [{ role: "user", content } as const];
      assertWords((await generateText({ model: model(), messages, maxRetries })).text);
      assert.ok(matrix.cameBy(kind, "chat").body.includes(picture));
    });

    it("completes a text", async () => {
      const completing = { ...ask(), model: provider().completionModel(kind.model), maxOutputTokens: 6 };
      if (kind.ends.completions === undefined) {
        await assert.rejects(generateText(completing), isRefusal(400, /^model: /));
        return;
      }
      assertWords((await generateText(completing)).text, 6);
      assertWords((await readStream(streamText(completing).stream)).text, 6);
      matrix.cameBy(kind, "completions");
    });

    it("embeds", async () => {
      const embedding = { model: provider().embeddingModel(kind.model), values: ["a", "b"], maxRetries };
      if (kind.ends.embeddings === undefined) {
        await assert.rejects(embedMany(embedding), isRefusal(400, /^model: /));
        return;
      }
      const { embeddings, usage } = await embedMany(embedding);
      assert.deepEqual(
        embeddings.map(({ length }) => length),
        [384, 384],
      );
      assert.ok(usage.tokens > 0);
      matrix.cameBy(kind, "embeddings");
    });

    for (const [what, fault] of Object.entries(streamBreaks)) {
      it(`hears of ${what}`, async () => {
        await matrix.broken(kind, fault, () => assert.rejects(readStream(streamText(ask()).stream)));
      });
    }

    for (const [what, fault] of Object.entries(unseenBreaks)) {
      it(`does not notice ${what}`, async () => {
        await matrix.halfBroken(kind, fault, async () =>
          assertWords((await readStream(streamText(ask()).stream)).text),
        );
      });
    }

    it("ends the work when the client leaves a stream", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const left = new AbortController();
        const endless = { ...ask(), prompt: prompts.endless, abortSignal: left.signal };
        let words = 0;
        for await (const part of streamText(endless).stream) {
          if (part.type !== "text-delta" || ++words < 5) continue;
          leave();
          left.abort();
        }
      });
    });

    it("ends the work when the client leaves before the answer", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const left = new AbortController();
        const answer = generateText({ ...ask(), prompt: prompts.endless, abortSignal: left.signal });
        await matrix.atWork(kind);
        leave();
        left.abort();
        await assert.rejects(answer, { name: "AbortError" });
      });
    });

    const uncarried = kind.ends.chat === "/v1/messages" ? { seed: 1, frequencyPenalty: 1 } : {};
    for (const [field, value] of Object.entries(uncarried)) {
      it(`refuses ${field} by name`, async () => {
        const named = field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
        await assert.rejects(
          generateText({ ...ask(), [field]: value }),
          isRefusal(400, new RegExp(`^${named} `)),
        );
      });
    }

    it("tells of a server that fails", async () => {
      await matrix.broken(kind, { status: 500, message: "out of memory" }, () =>
        assert.rejects(generateText(ask()), isRefusal(500, /^out of memory$/)),
      );
    });

    it("tells of a limit, and how long to wait", async () => {
      await matrix.broken(kind, { status: 429, retryAfter: 7 }, () =>
        assert.rejects(generateText(ask()), (error) => {
          isRefusal(429, /./)(error);
          assert.ok(APICallError.isInstance(error));
          assert.equal(error.responseHeaders?.["retry-after"], "7");
          return true;
        }),
      );
    });
  });
}

it("ai is told that a model is not there", limit, async () => {
  const asked = { model: provider()("nobodys"), prompt, maxRetries, ...silently };
  await assert.rejects(generateText(asked), isRefusal(404, /"nobodys"/));
  await assert.rejects(readStream(streamText(asked).stream), isRefusal(404, /"nobodys"/));
});

/** A refusal with this status and words. */
function isRefusal(status: number, words: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(APICallError.isInstance(error), String(error));
    assert.equal(error.statusCode, status);
    assert.match(error.message, words);
    return true;
  };
}
