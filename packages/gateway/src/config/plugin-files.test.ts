import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as face from "@spillway/gateway/plugin";
import { isHttpPool } from "../contracts/options.ts";
import { loadConfig } from "./load-config.ts";
import { loadPluginFile, type LoadedPluginFile } from "./plugin-files.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway-plugins-"));
after(() => rmSync(folder, { recursive: true }));

function load(name: string, text?: string): Promise<LoadedPluginFile> {
  const path = join(folder, name);
  if (text !== undefined) writeFileSync(path, text);
  return loadPluginFile({ name: `./${name}`, path });
}

const definition = (from: string, type: string) => `
import { definePlugin, z } from "${from}";
export default definePlugin({
  type: "${type}", kinds: ["scorer"], summary: "Prefers what is first",
  parameters: z.strictObject({ share: z.number().default(0.5) }),
  create: ({ share }) => ({ score: (candidates, request, scores) => { scores[0] = share; } }),
});
`;

test("a file needs nothing installed, by either name of the module", async () => {
  const one = await load("one.js", `${definition("@spillway/gateway/plugin", "one")}`.trim());
  assert.deepEqual(one.errors, []);
  assert.deepEqual(
    one.definitions.map(({ type }) => type),
    ["one"],
  );
  const two = await load("two.mjs", definition("spillway/plugin", "two"));
  assert.deepEqual(two.errors, []);
  assert.deepEqual(two.definitions[0]?.parameters.safeParse({}), { success: true, data: { share: 0.5 } });
});

test("TypeScript is stripped; the module is the gateway's own", async () => {
  const text = `
import { definePlugin, z, GatewayError, type Scorer } from "@spillway/gateway/plugin";
class Mine implements Scorer { score(): void {} }
export const seen: unknown = GatewayError;
const plain = definePlugin({ type: "mine", kinds: ["scorer"], summary: "Mine", parameters: z.strictObject({}), create: (): Scorer => new Mine() });
export default [plain];
`;
  const { definitions, errors } = await load("typed.ts", text);
  assert.deepEqual(errors, []);
  assert.equal(definitions.length, 1);
  const module = (await import(join(folder, "typed.ts"))) as { seen: unknown };
  assert.equal(module.seen, face.GatewayError);
});

test("what cannot be used is told with its file, and with its line where there is one", async () => {
  const told = async (name: string, text?: string) => (await load(name, text)).errors.join("\n");
  assert.equal(await told("none.ts"), "./none.ts: there is no such file");
  assert.match(
    await told("broken.ts", "export default {\n  type: 1,\n  ?\n"),
    /^\.\/broken\.ts: cannot be loaded: /,
  );
  assert.match(
    await told("broken.js", "const a = 1;\nconst a = 2;\n"),
    /^\.\/broken\.js: cannot be loaded: line 2: /,
  );
  assert.match(await told("enum.ts", "enum A { B }\nexport default A;\n"), /cannot be loaded: .*enum/i);
  assert.match(await told("throws.js", "\n\nthrow new Error('no disk');\n"), /line 3: no disk$/);
  assert.match(await told("import.js", "import 'not-installed';\n"), /Cannot find package 'not-installed'/);
  assert.match(await told("empty.js", "export const a = 1;\n"), /has no default export/);
  assert.match(await told("number.js", "export default 5;\n"), /exports a number as default/);
  assert.match(await told("untyped.js", "export default { type: 'My Scorer' };\n"), /type: expected a name/);
  assert.match(
    await told("kind.js", "export default { type: 'a', kinds: ['scorrer'] };\n"),
    /kinds: expected a list of filter/,
  );
  assert.match(
    await told(
      "schema.js",
      "export default { type: 'a', kinds: ['scorer'], summary: 'x', parameters: {} };\n",
    ),
    /parameters: expected a schema/,
  );
  const list = await load(
    "list.js",
    `import d from "./one.js";\nexport default [d, { type: 'b', kinds: [] }];\n`,
  );
  assert.equal(list.definitions.length, 1);
  assert.equal(list.errors.length, 1);
});

test("a configuration names its plugins, and its pools use them beside those that are built in", async () => {
  writeFileSync(join(folder, "mine.ts"), definition("@spillway/gateway/plugin", "my-scorer"));
  const write = (text: string): string => {
    const file = join(folder, "spillway.yaml");
    writeFileSync(file, text);
    return file;
  };
  const load = (text: string) => loadConfig({ file: write(text), workingDirectory: "/", environment: {} });
  const pool = (scorer: string): string =>
    `plugins: [./mine.ts]\npools:\n  chat:\n    dialect: openai\n    endpoints: [http://127.0.0.1:8000]\n    scheduling:\n      profiles:\n        default:\n          scorers: [${scorer}]\n`;
  const good = await load(pool("{ type: my-scorer, parameters: { share: 0.25 } }"));
  assert.ok("config" in good, JSON.stringify(good));
  assert.deepEqual(
    good.config.plugins.map(({ type }) => type),
    ["my-scorer"],
  );
  const [chat] = good.config.pools.filter(isHttpPool);
  assert.deepEqual(chat?.scheduling?.plugins[0], {
    name: "my-scorer",
    type: "my-scorer",
    parameters: { share: 0.25 },
  });
  const bad = await load(pool("{ type: my-scorer, parameters: { shaer: 1 } }"));
  assert.match(
    "errors" in bad ? bad.errors.join() : "",
    /yaml:9:\d+: .*parameters\.shaer: my-scorer: unknown key; did you mean "share"/,
  );
  const missing = await load("plugins: [./gone.ts]\n");
  assert.deepEqual(missing, { errors: ["./gone.ts: there is no such file"] });
  writeFileSync(join(folder, "taken.js"), definition("spillway/plugin", "max-score-picker"));
  const taken = await load("plugins: [taken.js]\n");
  assert.match(
    "errors" in taken ? taken.errors.join() : "",
    /there is a plugin of the type "max-score-picker" already/,
  );
});
