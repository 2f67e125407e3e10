/** The npm client `ollama` through a whole gateway, against every kind of pool. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ollama, type ChatResponse, type GenerateResponse, type Message, type Tool } from "ollama";
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

const matrix = serveMatrix();
const client = (): Ollama => new Ollama({ host: matrix.url() });
const saying = (content: string): Message[] => [{ role: "user", content }];
const messages = saying(prompts.plain);
const tools: Tool[] = [
  {
    type: "function",
    function: {
      name: "forecast",
      parameters: { ...forecastSchema, required: [...forecastSchema.required] },
    },
  },
];

/** All that a stream of chat says, and its last line. */
async function readChat(stream: AsyncIterable<ChatResponse>) {
  let text = "";
  let thinking = "";
  const calls: NonNullable<Message["tool_calls"]> = [];
  let last: ChatResponse | undefined;
  for await (const part of stream) {
    text += part.message.content;
    thinking += part.message.thinking ?? "";
    calls.push(...(part.message.tool_calls ?? []));
    last = part;
  }
  assert.ok(last?.done, "the stream did not end well");
  return { text, thinking, calls, last };
}

async function readGenerate(stream: AsyncIterable<GenerateResponse>) {
  let text = "";
  let thinking = "";
  for await (const part of stream) {
    text += part.response ?? "";
    thinking += part.thinking ?? "";
  }
  return { text, thinking };
}

/** The same of a whole answer. */
function readWhole({ message, ...last }: ChatResponse) {
  return {
    text: message.content,
    thinking: message.thinking ?? "",
    calls: message.tool_calls ?? [],
    last,
  };
}

describe("what ollama is told of models", limit, () => {
  it("lists and shows the models of every pool", async () => {
    const listed = (await client().list()).models.map(({ name }) => name);
    for (const { model } of poolKinds) {
      assert.ok(listed.includes(model), model);
      assert.ok((await client().show({ model })).capabilities.includes("completion"), model);
    }
    await assert.rejects(client().show({ model: "nobodys" }), isRefusal(404, /nobodys/));
  });

  it("tells what runs, and its version", async () => {
    assert.ok(Array.isArray((await client().ps()).models));
    assert.ok((await client().version()).version);
  });
});

for (const kind of poolKinds) {
  const { model, ends } = kind;
  type Ask = Omit<Parameters<Ollama["chat"]>[0], "model" | "stream">;
  const chat = {
    whole: async (more: Ask = {}) => readWhole(await client().chat({ model, messages, ...more })),
    streamed: async (more: Ask = {}) =>
      readChat(await client().chat({ model, messages, ...more, stream: true })),
  };

  for (const [how, ask] of Object.entries(chat)) {
    describe(`ollama chat, ${how}, over ${kind.name}`, limit, () => {
      it("says a text", async () => {
        const { text, last } = await ask();
        assertWords(text);
        assert.deepEqual([last.done, last.done_reason, last.eval_count], [true, "stop", answerWords]);
        assert.ok(last.prompt_eval_count > 0 && last.total_duration > 0);
        assert.equal(last.model, model);
        matrix.cameBy(kind, "ollamaChat");
      });

      it("says what cut a text short", async () => {
        const { text, last } = await ask({ options: { num_predict: 5 } });
        assertWords(text, 5);
        assert.equal(last.done_reason, "length");
      });

      it("calls a tool and answers its result", async () => {
        const { calls } = await ask({ tools });
        const [call, ...others] = calls;
        assert.ok(call && others.length === 0);
        assert.equal(call.function.name, "forecast");
        assertForecast(call.function.arguments);
        const said: Message = { role: "assistant", content: "", tool_calls: [call] };
        const result: Message = { role: "tool", tool_name: "forecast", content: "rain in the evening" };
        const told = await ask({ messages: [...messages, said, result], tools });
        assertWords(told.text);
        assert.match(matrix.cameBy(kind, "ollamaChat").body, /rain in the evening/);
      });

      it("calls two tools at once", async () => {
        const { calls } = await ask({ messages: saying(prompts.callTwice), tools });
        assert.deepEqual(
          calls.map((call) => call.function.arguments["city"]),
          forecasts,
        );
      });

      it("answers JSON of a schema", async () => {
        assertForecast(JSON.parse((await ask({ format: forecastSchema })).text));
      });

      it("thinks", async () => {
        const { text, thinking } = await ask({ think: "high" });
        assertWords(text);
        assertWords(thinking, kind.tellsThinking ? 8 : 0);
      });

      it("shows a picture", async () => {
        const shown = await ask({
          messages: [{ role: "user", content: prompts.plain, images: [picture] }],
        });
        assertWords(shown.text);
        assert.ok(matrix.cameBy(kind, "ollamaChat").body.includes(picture));
      });
    });
  }

  describe(`ollama chat that goes wrong over ${kind.name}`, limit, () => {
    for (const [what, fault] of Object.entries(streamBreaks)) {
      it(`hears of ${what}`, async () => {
        await matrix.broken(kind, fault, () => assert.rejects(chat.streamed()));
      });
    }

    for (const [what, fault] of Object.entries(unseenBreaks)) {
      it(`does not notice ${what}`, async () => {
        await matrix.halfBroken(kind, fault, async () => assertWords((await chat.streamed()).text));
      });
    }

    it("ends the work when the client leaves a stream", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const endless = { model, messages: saying(prompts.endless), stream: true } as const;
        const stream = await client().chat(endless);
        let words = 0;
        const read = async (): Promise<void> => {
          for await (const _ of stream) {
            if (++words < 5) continue;
            leave();
            stream.abort();
          }
        };
        await assert.rejects(read(), { name: "AbortError" });
      });
    });

    it("ends the work when the client leaves before the answer", async () => {
      await matrix.noticesLeaving(kind, async (leave) => {
        const left = new AbortController();
        const leaving: typeof fetch = (url, init) => fetch(url, { ...init, signal: left.signal });
        const ollama = new Ollama({ host: matrix.url(), fetch: leaving });
        const answer = ollama.chat({ model, messages: saying(prompts.endless) });
        await matrix.atWork(kind);
        leave();
        left.abort();
        await assert.rejects(answer, { name: "AbortError" });
      });
    });

    const uncarried = {
      "/api/chat": {},
      "/v1/chat/completions": {
        "options.mirostat": { options: { mirostat: 1 } },
        "options.repeat_last_n": { options: { repeat_last_n: 5 } },
      },
      "/v1/messages": {
        "options.mirostat": { options: { mirostat: 1 } },
        "options.seed": { options: { seed: 1 } },
        "options.min_p": { options: { min_p: 0.1 } },
        "options.repeat_penalty": { options: { repeat_penalty: 1.1 } },
        format: { format: "json" },
        logprobs: { logprobs: true },
      },
    } as const satisfies Record<string, Readonly<Record<string, Ask>>>;
    const address = ends.ollamaChat as keyof typeof uncarried;
    for (const [field, more] of Object.entries<Ask>(uncarried[address])) {
      it(`refuses ${field} by name`, async () => {
        await assert.rejects(chat.whole(more), isRefusal(400, new RegExp(`^${field} `)));
      });
    }

    it("says that a model is not there", async () => {
      const ask = { model: "nobodys", messages };
      await assert.rejects(client().chat(ask), isRefusal(404, /"nobodys"/));
      await assert.rejects(client().chat({ ...ask, stream: true }), isRefusal(404, /"nobodys"/));
    });

    it("tells of a server that fails", async () => {
      await matrix.broken(kind, { status: 500, message: "out of memory" }, () =>
        assert.rejects(chat.whole(), isRefusal(500, /^out of memory$/)),
      );
    });
  });

  describe(`ollama generate over ${kind.name}`, limit, () => {
    const ask = { model, prompt: prompts.plain, system: "Be short" } as const;

    it("says a text, whole and streamed", async () => {
      const whole = await client().generate(ask);
      assertWords(whole.response);
      assert.deepEqual([whole.done_reason, whole.eval_count], ["stop", answerWords]);
      assert.match(matrix.cameBy(kind, "generate").body, /Be short/);
      assertWords((await readGenerate(await client().generate({ ...ask, stream: true }))).text);
      matrix.cameBy(kind, "generate");
    });

    it("answers JSON of a schema", async () => {
      assertForecast(
        JSON.parse((await client().generate({ ...ask, format: forecastSchema })).response ?? ""),
      );
    });

    it("thinks", async () => {
      const whole = await client().generate({ ...ask, think: true });
      const streamed = await readGenerate(await client().generate({ ...ask, think: true, stream: true }));
      for (const thinking of [whole.thinking ?? "", streamed.thinking]) {
        assertWords(thinking, kind.tellsThinking ? 8 : 0);
      }
    });

    it("shows a picture", async () => {
      assertWords((await client().generate({ ...ask, images: [picture] })).response);
      assert.ok(matrix.cameBy(kind, "generate").body.includes(picture));
    });

    it("loads a model", async () => {
      const loaded = await client().generate({ model, prompt: "" });
      assert.deepEqual([loaded.done, loaded.done_reason], [true, "load"]);
    });

    const isTranslated = ends.generate !== "/api/generate";
    const uncarried = { template: { template: "{{ .Prompt }}" }, context: { context: [1, 2] } };
    for (const [field, more] of Object.entries(isTranslated ? uncarried : {})) {
      it(`refuses ${field} by name`, async () => {
        await assert.rejects(
          client().generate({ ...ask, ...more }),
          isRefusal(400, new RegExp(`^${field} `)),
        );
      });
    }
  });

  describe(`ollama embeddings over ${kind.name}`, limit, () => {
    it("embeds", async () => {
      const ask = { model, input: ["a", "b"], dimensions: 8 };
      if (ends.embed === undefined) {
        await assert.rejects(client().embed(ask), isRefusal(400, /^model: /));
        return;
      }
      const { embeddings, prompt_eval_count: tokens } = await client().embed(ask);
      assert.deepEqual(
        embeddings.map(({ length }) => length),
        [8, 8],
      );
      assert.ok(tokens > 0);
      matrix.cameBy(kind, "embed");
      assert.equal((await client().embeddings({ model, prompt: "a" })).embedding.length, 384);
    });
  });

  // The last, since the servers are left alone for a while after it.
  it(`ollama is told of a limit and how long to wait over ${kind.name}`, limit, async () => {
    let retryAfter: string | null = null;
    const seeing: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      retryAfter = response.headers.get("retry-after");
      return response;
    };
    await matrix.broken(kind, { status: 429, retryAfter: 7 }, () =>
      assert.rejects(
        new Ollama({ host: matrix.url(), fetch: seeing }).chat({ model, messages }),
        isRefusal(429, /./),
      ),
    );
    assert.equal(retryAfter, "7");
  });
}

/** A refusal with this status and words. */
function isRefusal(status: number, words: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof Error);
    assert.equal((error as Error & { status_code?: number }).status_code, status, String(error));
    assert.match(error.message, words);
    return true;
  };
}
