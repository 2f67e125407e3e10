// What `npm test` consists of, and the reading of its arguments.
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { listFiles, root } from "./paths.ts";

/** A command that must end with 0. `program` is looked up in node_modules/.bin. */
export interface Check {
  name: string;
  program: string;
  args: readonly string[];
}

/** What one run of `npm test` does: checks in order, then the test files in one run of node:test. */
export interface Plan {
  checks: readonly Check[];
  files: readonly string[];
  /** Passed to node's `--test-name-pattern`. */
  namePattern: string | undefined;
}

/** A mistake in the arguments; the message is for the user. */
export class UsageError extends Error {}

const TEST_FOLDERS: Readonly<Record<string, readonly string[]>> = {
  unit: ["packages/**/*.test.ts", "engines/**/*.test.ts"],
  system: ["test/**/*.test.ts", "bench/**/*.test.ts", "scripts/**/*.test.ts"],
};

/** Files that take longest, begun first: one of them that is begun last would run alone at the end, a core idle beside it. */
export const longestFirst: readonly string[] = [
  "bench/figures/figures.test.ts",
  "test/integration/forward-broken.test.ts",
  "test/packaging/tarballs.test.ts",
  "test/integration/store-crashes.test.ts",
  "test/integration/llama-gateway.test.ts",
  "test/integration/edge-models.test.ts",
  "test/integration/status-page.test.ts",
  "test/integration/processes.test.ts",
  "test/deploy/dashboard.test.ts",
];

/** What `npm test -- --help` prints. */
export const usage = `npm test                          everything
npm test -- --only unit,lint      some steps: format lint types page docs unit system
npm test -- FILE or FOLDER …      these tests only
npm test -- --name PATTERN        tests whose name matches

unit   tests beside the sources, packages/**, engines/**
system tests of the whole, test/**, bench/**, scripts/**
docs   generated pages and schemas are those the sources give

SPILLWAY_TEST_STRICT=1 turns a test that lacks a program from skipped to failed.
`;

function allChecks(): Check[] {
  const checks: Check[] = [
    { name: "format", program: "oxfmt", args: ["--check"] },
    { name: "lint", program: "oxlint", args: ["--type-aware"] },
    { name: "types", program: "tsc", args: ["-p", "tsconfig.json"] },
    // What runs in browsers knows other globals.
    { name: "page", program: "tsc", args: ["-p", "packages/gateway/src/edge/monitor/page"] },
  ];
  const generator = path.join(root, "scripts/generate.ts");
  if (existsSync(generator)) {
    checks.push({ name: "docs", program: "node", args: ["--conditions=source", generator, "--check"] });
  }
  return checks;
}

/** Tests put Unix sockets below the temporary folder, whose whole paths may have 107 bytes. */
const maxTemporaryBytes = 64;

/**
 * An environment for tests. This machine is asked directly, whatever proxy is set for the network: curl and clients of gRPC
 * would send a test's own requests there. A temporary folder whose name is too long for sockets is not used.
 */
export function testEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const told = environment["no_proxy"] ?? environment["NO_PROXY"] ?? "";
  const direct = [told, "localhost", "127.0.0.1", "::1"].filter(Boolean).join(",");
  const isLong = Buffer.byteLength(environment["TMPDIR"] ?? "") > maxTemporaryBytes;
  return { ...environment, no_proxy: direct, NO_PROXY: direct, ...(isLong && { TMPDIR: "/tmp" }) };
}

/** Reads the arguments of `npm test`. Undefined when help was asked for. Throws UsageError. */
export function planOf(args: readonly string[]): Plan | undefined {
  const { values, positionals } = readArguments(args);
  if (values.help) return undefined;
  const namePattern = values.name;
  if (positionals.length > 0) return { checks: [], files: positionals.flatMap(testsAt), namePattern };
  const checks = allChecks();
  const names = [...checks.map((check) => check.name), ...Object.keys(TEST_FOLDERS)];
  const chosen = values.only?.split(",") ?? (namePattern === undefined ? names : Object.keys(TEST_FOLDERS));
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new UsageError(`no step is called "${unknown}": ${names.join(", ")}`);
  const found = new Set(chosen.flatMap((name) => listFiles(TEST_FOLDERS[name] ?? [])));
  const files = [...new Set([...longestFirst.filter((file) => found.has(file)), ...found])];
  return { checks: checks.filter((check) => chosen.includes(check.name)), files, namePattern };
}

function readArguments(args: readonly string[]) {
  const options = { only: { type: "string" }, name: { type: "string" }, help: { type: "boolean" } } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function testsAt(place: string): string[] {
  if (!existsSync(place)) throw new UsageError(`there is no ${place}`);
  if (!statSync(place).isDirectory()) return [path.resolve(place)];
  const files = listFiles(["**/*.test.ts"], place);
  if (files.length === 0) throw new UsageError(`no *.test.ts under ${place}`);
  return files.map((file) => path.resolve(place, file));
}
