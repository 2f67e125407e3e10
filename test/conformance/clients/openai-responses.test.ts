/** `/v1/responses` with the npm client `openai` through a whole gateway, against every kind of pool. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import OpenAI, {
  APIError,
  APIUserAbortError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from "openai";
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
import { isBadRequest } from "./openai-errors.ts";
import { poolKinds } from "./pool-kinds.ts";

type Response = OpenAI.Responses.Response;
type Input = OpenAI.Responses.ResponseInput;
type Event = OpenAI.Responses.ResponseStreamEvent;

const matrix = serveMatrix();
const client = (): OpenAI => new OpenAI({ baseURL: `${matrix.url()}/v1`, apiKey: "none", maxRetries: 0 });
const tool = { type: "function", name: "forecast", parameters: forecastSchema, strict: true } as const;

/** The last event's response, and what the deltas said. Fails where events are not numbered. */
async function readStream(stream: AsyncIterable<Event>) {
  const deltas = { text: "", thinking: "", arguments: "" };
  let next = 0;
  let response: Response | undefined;
  for await (const event of stream) {
    assert.equal(event.sequence_number, next++);
    if (event.type === "response.output_text.delta") deltas.text += event.delta;
    if (event.type === "response.function_call_arguments.delta") deltas.arguments += event.delta;
    if (event.type === "response.reasoning_text.delta") deltas.thinking += event.delta;
    if (event.type === "response.reasoning_summary_text.delta") deltas.thinking += event.delta;
    if (event.type === "response.completed" || event.type === "response.incomplete") ({ response } = event);
  }
  assert.ok(response, "the stream did not end well");
  return { response, ...deltas };
}

function textOf({ output }: Response): string {
  return output
    .flatMap((item) => (item.type === "message" ? item.content : []))
    .map((part) => (part.type === "output_text" ? part.text : ""))
    .join("");
}

function thinkingOf({ output }: Response): string {
  return output
    .flatMap((item) => (item.type === "reasoning" ? [...(item.content ?? []), ...item.summary] : []))
    .map(({ text }) => text)
    .join("");
}

function callsOf({ output }: Response): OpenAI.Responses.ResponseFunctionToolCall[] {
  const calls = output.filter((item) => item.type === "function_call");
  for (const { name, arguments: text } of calls) {
    assert.equal(name, "forecast");
    assertForecast(JSON.parse(text));
  }
  return calls;
}

for (const kind of poolKinds) {
  const { model } = kind;
  const isTranslated = kind.ends.responses !== "/v1/responses";
  const ask = { model, input: prompts.plain, store: false } as const;
  const whole = (more: object = {}): Promise<Response> => client().responses.create({ ...ask, ...more });
  const streamed = async (more: object = {}) =>
    readStream(await client().responses.create({ ...ask, ...more, stream: true }));

  describe(`openai responses over ${kind.name}`, limit, () => {
    it("says a text, whole and streamed", async () => {
      const answer = await whole();
      matrix.cameBy(kind, "responses");
      const stream = await streamed();
      matrix.cameBy(kind, "responses");
      assertWords(stream.text);
      for (const response of [answer, stream.response]) {
        assertWords(textOf(response));
        assert.deepEqual([response.status, response.usage?.output_tokens], ["completed", answerWords]);
        assert.equal(response.model, model);
      }
    });

    it("says what cut a text short", async () => {
      for (const response of [
        await whole({ max_output_tokens: 5 }),
        (await streamed({ max_output_tokens: 5 })).response,
      ]) {
        assertWords(textOf(response), 5);
        assert.deepEqual(
          [response.status, response.incomplete_details?.reason],
          ["incomplete", "max_output_tokens"],
        );
      }
    });

    it("calls a tool and answers its result, whole and streamed", async () => {
      const answer = await whole({ tools: [tool] });
      const stream = await streamed({ tools: [tool] });
      assertForecast(JSON.parse(stream.arguments));
      for (const response of [answer, stream.response]) {
        const [call, ...others] = callsOf(response);
        assert.ok(call && others.length === 0);
        const result = {
          type: "function_call_output",
          call_id: call.call_id,
          output: "rain at noon",
        } as const;
        const said = response.output as Input;
        const input: Input = [{ role: "user", content: prompts.plain }, ...said, result];
        assertWords(textOf(await whole({ input, tools: [tool] })));
        assert.match(matrix.cameBy(kind, "responses").body, /rain at noon/);
      }
    });

    it("calls two tools at once", async () => {
      const more = { input: prompts.callTwice, tools: [tool] };
      for (const response of [await whole(more), (await streamed(more)).response]) {
        const calls = callsOf(response);
        const cities = calls.map((call) => (JSON.parse(call.arguments) as { city: string }).city);
        assert.deepEqual(cities, forecasts);
        assert.equal(new Set(calls.map(({ call_id: id }) => id)).size, 2);
      }
    });

    it("answers JSON of a schema", async () => {
      const format = { type: "json_schema", name: "forecast", schema: forecastSchema, strict: true };
      assertForecast(JSON.parse(textOf(await whole({ text: { format } }))));
      assertForecast(JSON.parse((await streamed({ text: { format } })).text));
    });

    it("thinks", async () => {
      const more = { reasoning: { effort: "high", summary: "auto" } };
      const answer = await whole(more);
      const stream = await streamed(more);
      assert.equal(stream.thinking, thinkingOf(stream.response));
      for (const response of [answer, stream.response]) {
        assertWords(textOf(response));
        // OpenAI's own servers tell it here and nowhere else.
        assertWords(thinkingOf(response), kind.tellsThinking || !isTranslated ? 8 : 0);
      }
    });

    it("shows a picture", async () => {
      const url = `data:image/png;base64,${picture}`;
      const image = { type: "input_image", image_url: url, detail: "auto" } as const;
      const content = [{ type: "input_text", text: prompts.plain } as const, image];
      assertWords(textOf(await whole({ input: [{ role: "user", content }] })));
      assert.ok(matrix.cameBy(kind, "responses").body.includes(picture));
    });

    for (const [what, fault] of Object.entries(streamBreaks)) {
      it(`hears of ${what}`, async () => {
        await matrix.broken(kind, fault, () => assert.rejects(streamed(), APIError));
      });
    }

    for (const [what, fault] of Object.entries(unseenBreaks)) {
      it(`does not notice ${what}`, async () => {
        await matrix.halfBroken(kind, fault, async () => assertWords((await streamed()).text));
      });
    }
  });

  describe(`openai responses that go wrong over ${kind.name}`, limit, () => {
    it("ends the work when the client leaves a stream", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const endless = { ...ask, input: prompts.endless, stream: true } as const;
        const stream = await client().responses.create(endless);
        let words = 0;
        for await (const { type } of stream) {
          if (type !== "response.output_text.delta" || ++words < 5) continue;
          leave();
          stream.controller.abort();
        }
      });
    });

    it("ends the work when the client leaves before the answer", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const left = new AbortController();
        const answer = client().responses.create({ ...ask, input: prompts.endless }, { signal: left.signal });
        await matrix.atWork(kind);
        leave();
        left.abort();
        await assert.rejects(answer, APIUserAbortError);
      });
    });

    const unreadable = [["stream", { stream: "yes" }]] as const;
    const uncarried = [
      ["previous_response_id", { previous_response_id: "resp_1" }],
      ["conversation", { conversation: "conv_1" }],
      ["background", { background: true }],
      ["store", { store: true }],
      ["truncation", { truncation: "auto" }],
      ["tools[0]", { tools: [{ type: "web_search" }] }],
      ["input[0]", { input: [{ type: "item_reference", id: "msg_1" }] }],
      ["max_tool_calls", { max_tool_calls: 1 }],
    ] as const;
    const remote = { type: "input_image", image_url: "https://example.com/a.png", detail: "auto" } as const;
    const uncarriedTo: Readonly<Record<string, readonly (readonly [string, object])[]>> = {
      "/api/chat": [
        ["tool_choice", { tools: [tool], tool_choice: "required" }],
        ["parallel_tool_calls", { tools: [tool], parallel_tool_calls: false }],
        ["input.content.image_url", { input: [{ role: "user", content: [remote] }] }],
      ],
      "/v1/messages": [
        ["temperature", { temperature: 1.5 }],
        ["text.format", { text: { format: { type: "json_object" } } }],
        ["top_logprobs", { top_logprobs: 2 }],
      ],
    };
    const refused = isTranslated ? [...uncarried, ...(uncarriedTo[kind.ends.responses ?? ""] ?? [])] : [];
    for (const [field, wrong] of [...unreadable, ...refused]) {
      it(`refuses ${field} by name`, async () => {
        await assert.rejects(whole(wrong), isBadRequest(field));
      });
    }

    it("says that a model is not there", async () => {
      await assert.rejects(whole({ model: "nobodys" }), NotFoundError);
    });

    it("tells of a server that fails", async () => {
      await matrix.broken(kind, { status: 500, message: "out of memory" }, async () => {
        await assert.rejects(whole(), (error) => {
          assert.ok(error instanceof InternalServerError);
          assert.match(error.message, /^500 out of memory/);
          return true;
        });
      });
    });

    it("tells of a limit, and how long to wait", async () => {
      await matrix.broken(kind, { status: 429, retryAfter: 7 }, async () => {
        await assert.rejects(whole(), (error) => {
          assert.ok(error instanceof RateLimitError, String(error));
          assert.equal(error.headers?.get("retry-after"), "7");
          return true;
        });
      });
    });
  });
}
