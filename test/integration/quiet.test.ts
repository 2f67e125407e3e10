/** A gateway keeps to itself: no library of its workers leaves files in the home or temporary folders, or collects events to send. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { createModelFolder, repositoryRoot } from "../harness/gateway.ts";
import { createHttpClient } from "../harness/http-client.ts";
import { startSpillway } from "../harness/spillway.ts";

test("numbers, texts and pictures are answered, and nothing is left behind", async (t) => {
  const [home, temporary] = ["h", "t"].map((name) => mkdtempSync(path.join(tmpdir(), `sp${name}-`))) as [
    string,
    string,
  ];
  const models = createModelFolder(t);
  for (const name of ["iris", "digits", "sentiment"]) models.addBuiltin(name);
  const running = startSpillway(["serve", "--models", models.path, "--port", "0", "--no-grpc"], {
    cwd: models.path,
    env: { HOME: home, TMPDIR: temporary },
  });
  t.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
    for (const folder of [home, temporary]) rmSync(folder, { recursive: true });
  });
  const [, port] = await running.printed(/http {4}http:\/\/localhost:(\d+)/);
  await running.printed(/Ctrl-C stops\./);
  const http = createHttpClient(`http://127.0.0.1:${port}`);
  t.after(() => http.close());
  const picture = readFileSync(path.join(repositoryRoot, "models/digits/samples/3.png"));
  const answers = [
    await http.ask({ path: "/predict", body: { features: [5.1, 3.5, 1.4, 0.2], model_name: "iris" } }),
    await http.ask({ path: "/predict", body: { prompt: "I love it", model_name: "sentiment" } }),
    await http.ask({ path: "/predict?model_name=digits", body: picture }),
  ];
  assert.deepEqual(
    answers.map(({ json }) => json["label"]),
    ["setosa", "positive", "3"],
  );
  const found = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
      (name) => !/^spw-[^/]+(\/\d+\.sock)?$/.test(name),
    );
  assert.deepEqual([found(home), found(temporary)], [[], []], "while it runs there are sockets only");
  running.kill("SIGINT");
  assert.equal((await running.ended).code, 0);
  assert.deepEqual([readdirSync(home), readdirSync(temporary)], [[], []]);
});
