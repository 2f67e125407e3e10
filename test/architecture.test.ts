// Who may import whom: the layer table of the gateway and the rules between packages (scripts/lib/layers.ts).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { describeViolations, violationsOf } from "../scripts/lib/architecture.ts";
import type { Declared } from "../scripts/lib/architecture.ts";
import { fillLayers, layerRows, mayImport, packageImports } from "../scripts/lib/layers.ts";
import { listFiles, root } from "../scripts/lib/paths.ts";
import { parseSource, readSource } from "../scripts/lib/source.ts";

const packages = listFiles(["packages/*/package.json"]);

test("the sources keep the layers", () => {
  const sources = listFiles(["packages/*/src/**/*.ts"]).map(readSource);
  assert.ok(sources.length > 0);
  const violations = violationsOf(sources, declaredDependencies());
  assert.equal(violations.length, 0, `\n${describeViolations(violations)}`);
});

test("package.json names only the packages that packageImports allows", () => {
  for (const [name, dependencies] of Object.entries(declaredDependencies())) {
    const own = dependencies.filter((dependency) => dependency.startsWith("@spillway/"));
    const allowed = packageImports[name]?.map((other) => `@spillway/${other}`) ?? [];
    assert.deepEqual(
      own.filter((dependency) => !allowed.includes(dependency)),
      [],
      name,
    );
  }
});

test("ARCHITECTURE.md prints the layer table", () => {
  const page = readFileSync(path.join(root, "ARCHITECTURE.md"), "utf8");
  assert.equal(
    withoutPadding(page),
    withoutPadding(fillLayers(page)),
    "ARCHITECTURE.md differs: npm run layers",
  );
  assert.notEqual(withoutPadding(page), withoutPadding(fillLayers(page).replace("| 0–1 |", "| 0–2 |")));
});

/** Markdown tables without the spaces and dashes that formatting adds. */
function withoutPadding(page: string): string {
  return page.replace(/ *\| */g, "|").replace(/-{2,}/g, "--");
}

function declaredDependencies(): Declared {
  const entries = packages.map((file) => {
    const { dependencies = {} } = JSON.parse(readFileSync(path.join(root, file), "utf8")) as {
      dependencies?: Record<string, string>;
    };
    return [file.split("/")[1] ?? "", Object.keys(dependencies)] as const;
  });
  return Object.fromEntries(entries);
}

describe("each rule fails on a source that breaks it", () => {
  const declared: Declared = {
    gateway: ["@spillway/grpc", "@spillway/protocol", "@spillway/worker", "zod"],
    worker: ["@spillway/grpc", "@spillway/gateway"],
    grpc: ["@spillway/protocol"],
    protocol: [],
  };
  const messages = (file: string, text: string): string[] =>
    violationsOf([parseSource(file, text)], declared).map(({ message }) => message);
  const inGateway = (file: string, text: string): string[] => messages(`packages/gateway/src/${file}`, text);

  const forbidden: [why: string, file: string, text: string, message: RegExp][] = [
    ["upwards", "core/a.ts", `import { x } from "../contracts/x.ts";`, /core may not import contracts/],
    [
      "a type upwards",
      "core/a.ts",
      `import type { X } from "../contracts/x.ts";`,
      /core may not import contracts/,
    ],
    [
      "an import type",
      "core/a.ts",
      `export type X = import("../store/x.ts").X;`,
      /core may not import store/,
    ],
    [
      "a re-export",
      "contracts/a.ts",
      `export { x } from "../config/x.ts";`,
      /contracts may not import config/,
    ],
    [
      "a star re-export",
      "contracts/a.ts",
      `export * from "../config/x.ts";`,
      /contracts may not import config/,
    ],
    [
      "a dynamic import",
      "store/a.ts",
      `await import("../telemetry/x.ts");`,
      /store may not import telemetry/,
    ],
    [
      "a thread",
      "store/a.ts",
      `new URL("../telemetry/x.ts", import.meta.url);`,
      /store may not import telemetry/,
    ],
    ["for its side effect", "plugins/a.ts", `import "../dialects/x.ts";`, /plugins may not import dialects/],
    [
      "one layer, stages",
      "stages/routing/a.ts",
      `import "../scheduling/x.ts";`,
      /routing may not import stages\/sched/,
    ],
    [
      "one layer, doors",
      "doors/http/a.ts",
      `import "../grpc/x.ts";`,
      /doors\/http may not import doors\/grpc/,
    ],
    [
      "a stage to dialects",
      "stages/routing/a.ts",
      `import "../../dialects/x.ts";`,
      /may not import dialects/,
    ],
    ["upstream to workers", "stages/upstream/a.ts", `import "../../workers/x.ts";`, /may not import workers/],
    ["a door to the pipeline", "doors/http/a.ts", `import "../../pipeline/x.ts";`, /may not import pipeline/],
    [
      "a door to a stage",
      "doors/http/a.ts",
      `import "../../stages/routing/x.ts";`,
      /may not import stages\/routing/,
    ],
    ["the pipeline to a door", "pipeline/a.ts", `import "../doors/http/x.ts";`, /may not import doors\/http/],
    ["config to a store", "config/a.ts", `import "../store/x.ts";`, /config may not import store/],
    ["a nested file", "core/deep/a.ts", `import "../../app/x.ts";`, /core may not import app/],
    ["a public face from inside", "app/a.ts", `import "../index.ts";`, /public face/],
    ["an unknown folder", "helpers/a.ts", `export {};`, /helpers is not in the layer table/],
    ["a file between the stages", "stages/a.ts", `export {};`, /stages is not in the layer table/],
    ["a file between the doors", "doors/a.ts", `export {};`, /doors is not in the layer table/],
    ["bytes in a stage", "stages/routing/a.ts", `import "@spillway/protocol";`, /wire formats/],
    ["bytes in the pipeline", "pipeline/a.ts", `import type { X } from "@spillway/grpc";`, /wire formats/],
    [
      "the worker in a door",
      "doors/http/a.ts",
      `import "@spillway/worker/repository";`,
      /processes of their own/,
    ],
    ["a transport in a stage", "stages/flowcontrol/a.ts", `import "node:http";`, /never imports a transport/],
    ["a transport in the pipeline", "pipeline/a.ts", `import "node:net";`, /never imports a transport/],
    ["another package's sources", "app/a.ts", `import "../../../grpc/src/x.ts";`, /only by package name/],
    ["the tests", "app/a.ts", `import "../../../../test/harness/x.ts";`, /only by package name/],
    [
      "inside another package",
      "workers/a.ts",
      `import "@spillway/grpc/src/x.ts";`,
      /only what the package exports/,
    ],
    ["an undeclared package", "app/a.ts", `import "express";`, /express is not in the dependencies/],
    ["a built-in without node:", "app/a.ts", `import "fs/promises";`, /write node:fs\/promises/],
    ["the machine's date", "workers/a.ts", `new Date();`, /new Date\(\): take a Clock/],
    [
      "a timer by globalThis",
      "workers/a.ts",
      `globalThis.setTimeout(() => {}, 1);`,
      /globalThis.setTimeout: take/,
    ],
    ["process.hrtime", "workers/a.ts", `process.hrtime.bigint();`, /process.hrtime: take/],
  ];
  for (const [why, file, text, message] of forbidden) {
    test(why, () => {
      const found = inGateway(file, text);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0]!, message);
    });
  }

  test("packages", () => {
    assert.match(
      messages("packages/grpc/src/a.ts", `import "@spillway/protocol";`)[0]!,
      /grpc may not import protocol/,
    );
    assert.match(
      messages("packages/worker/src/a.ts", `import "@spillway/gateway";`)[0]!,
      /may not import gateway/,
    );
    assert.match(
      messages("packages/protocol/src/a.ts", `import "../../grpc/src/a.ts";`)[0]!,
      /only by package name/,
    );
    assert.match(
      messages("packages/surprise/src/a.ts", `export {};`)[0]!,
      /surprise is not in packageImports/,
    );
  });

  const allowed: [why: string, file: string, text: string][] = [
    [
      "down",
      "stages/routing/a.ts",
      `import "../../core/x.ts"; import type { X } from "../../contracts/x.ts";`,
    ],
    ["within a folder", "dialects/openai/a.ts", `import "../chat/x.ts"; import "./y.ts";`],
    ["upstream to dialects", "stages/upstream/a.ts", `import "../../dialects/x.ts"; import "node:net";`],
    ["config to plugins", "config/a.ts", `import "../plugins/x.ts"; import { z } from "zod";`],
    ["the pipeline to stages", "pipeline/a.ts", `import "../stages/routing/x.ts"; import "../workers/x.ts";`],
    [
      "app to all",
      "app/a.ts",
      `import "../cli/x.ts"; import "@spillway/worker"; import "node:http"; new Date();`,
    ],
    [
      "a public face to all",
      "index.ts",
      `export { x } from "./app/x.ts"; export type { Y } from "./core/y.ts";`,
    ],
    [
      "bytes in a door",
      "doors/grpc/a.ts",
      `import "@spillway/grpc"; import "@spillway/protocol"; import "node:http2";`,
    ],
    ["the words of tensors", "core/a.ts", `import type { Datatype } from "@spillway/protocol/tensors";`],
    ["the clock", "core/clock.ts", `new Date();`],
    ["a date that is given", "workers/a.ts", `new Date(0);`],
    ["a test", "core/a.test.ts", `import "../app/x.ts"; import "../../../../test/harness/x.ts"; new Date();`],
  ];
  for (const [why, file, text] of allowed)
    test(`and not on: ${why}`, () => assert.deepEqual(inGateway(file, text), []));
});

test("the table lets nothing go up or sideways below the top", () => {
  const rows = layerRows.flatMap(({ layer, folders }) =>
    folders.map((folder) => ({ layer, folder: folder.replace("*", "x") })),
  );
  const top = Math.max(...rows.map(({ layer }) => layer));
  for (const from of rows.filter(({ layer }) => layer < top)) {
    const wrong = rows.filter(
      (to) => to.folder !== from.folder && to.layer >= from.layer && mayImport(from.folder, to.folder),
    );
    assert.deepEqual(wrong, [], from.folder);
  }
});
