import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readFault, simulate } from "./commands/simulate.ts";
import type { SimulateOptions } from "./commands/simulate.ts";
import type { Terminal } from "./terminal.ts";

const base: SimulateOptions = { host: "127.0.0.1", port: 0, seed: 1, timeScale: 1 };

/** Runs the command, calls `use` with what it printed, then ends it as Ctrl-C does. */
async function run(
  options: Partial<SimulateOptions>,
  use: (printed: string) => Promise<void>,
): Promise<number> {
  let printed = "";
  let stop = (): void => undefined;
  const waiting = Promise.withResolvers<void>();
  const terminal: Terminal = {
    print: (text) => void (printed += text),
    complain: () => undefined,
    interactive: false,
    interactiveErrors: false,
    environment: {},
    workingDirectory: "/",
    onStop: (listener) => {
      stop = listener;
      waiting.resolve();
    },
    exit: () => {
      throw new Error("exit");
    },
  };
  const done = simulate({ ...base, ...options }, terminal);
  await Promise.race([waiting.promise, done]);
  try {
    await use(printed);
  } finally {
    stop();
  }
  const code = await done;
  return code;
}

describe("spillway simulate", () => {
  it("serves the face it is told, with models and faults, until it is stopped", async () => {
    const options = { face: "ollama", model: ["tiny:1b"], fault: ["status=429,retryAfter=2,times=1"] };
    const code = await run(options, async (printed) => {
      const url = /http:\/\/127[^\s/]*/.exec(printed)?.[0] ?? "";
      const refused = await fetch(`${url}/api/tags`);
      assert.deepEqual([refused.status, refused.headers.get("retry-after")], [429, "2"]);
      const { models } = (await (await fetch(`${url}/api/tags`)).json()) as { models: { name: string }[] };
      assert.deepEqual(
        models.map(({ name }) => name),
        ["tiny:1b"],
      );
      assert.match(printed, /curl .*\/api\/chat -d .*tiny:1b/);
    });
    assert.equal(code, 0);
  });

  it("takes face and models from a preset", async () => {
    await run({ preset: "vllmQwen7b" }, async (printed) => {
      assert.match(printed, /A simulated vllm server/);
      assert.match(printed, /Qwen2\.5-7B/);
    });
  });

  it("serves a Groundlight cloud with its tokens and detectors", async () => {
    const options = { face: "groundlight", model: ["door"], key: ["api_line_1"] };
    await run(options, async (printed) => {
      const [, command = ""] = /curl (\S+detectors) -H 'x-api-token: api_line_1'/.exec(printed) ?? [];
      const ask = (token: string): Promise<Response> => fetch(command, { headers: { "x-api-token": token } });
      const { results } = (await (await ask("api_line_1")).json()) as { results: { name: string }[] };
      assert.deepEqual(
        results.map(({ name }) => name),
        ["door"],
      );
      assert.equal((await ask("api_nobody")).status, 401);
    });
  });

  it("says what is wrong", async () => {
    const fails = (options: Partial<SimulateOptions>, message: RegExp): Promise<void> =>
      assert.rejects(
        run(options, async () => undefined),
        message,
      );
    await fails({}, /--face ollama\|vllm/);
    await fails({ preset: "nothing" }, /there is no preset nothing; there are vllmQwen7b/);
    await fails({ face: "vllm", fault: ["delay=3"] }, /--fault delay=3: a fault has no field delay/);
    await fails({ face: "groundlight", cloud: "/nothing.json" }, /--cloud \/nothing\.json: ENOENT/);
    assert.deepEqual(readFault('{"slow":{"bytes":1,"everyMs":5}}'), { slow: { bytes: 1, everyMs: 5 } });
    assert.deepEqual(readFault("crlf,comments=2"), { crlf: true, comments: 2 });
  });
});
