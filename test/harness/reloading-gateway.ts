/** A gateway whose configuration is a file that a test writes again while it runs. */
import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { TakenConfig } from "../../packages/gateway/src/app/config-source.ts";
import { loadConfig } from "../../packages/gateway/src/config/index.ts";
import { startTestGateway, type LoggedEvent, type TestGateway } from "./gateway.ts";
import { until } from "./until.ts";

/** What a file says; the rest is as tests need it: a free port, no models of its own, no search. */
export type FileWords = Readonly<Record<string, unknown>>;

const usual = { listen: [{ port: 0 }], grpc: false, models: false, discovery: false };

/** A gateway with its file. */
export interface ReloadingGateway {
  readonly gateway: TestGateway;
  readonly folder: string;
  readonly file: string;
  /** Each configuration that was taken, in order. */
  readonly taken: readonly TakenConfig[];
  /** Writes the file at once, as editors do that rename. */
  write(words: FileWords | string): void;
  /** Writes and has it read; gives what was logged of it. */
  reload(words: FileWords | string): Promise<LoggedEvent | undefined>;
  /** Resolves with what was logged of the next reading, once it is there. */
  noticed(count: number): Promise<readonly LoggedEvent[]>;
}

/** `watches`: the file is followed too; else it is read only when the test says so. */
export async function startReloadingGateway(
  t: TestContext,
  words: FileWords,
  { watches = false, path }: { readonly watches?: boolean; readonly path?: (folder: string) => string } = {},
): Promise<ReloadingGateway> {
  const folder = mkdtempSync(join(tmpdir(), "spillway-reload-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path?.(folder) ?? join(folder, "spillway.yaml");
  const write = (next: FileWords | string): void => {
    const draft = `${file}.new`;
    writeFileSync(draft, textOf(next));
    renameSync(draft, file);
  };
  if (path === undefined) write(words);
  const read = () => loadConfig({ file, workingDirectory: folder, environment: {} });
  const first = await read();
  assert.ok("config" in first, JSON.stringify(first));
  const taken: TakenConfig[] = [];
  const source = {
    name: "spillway.yaml",
    files: watches ? [file] : [],
    readSince: Infinity,
    read,
    onTaken: (_config: unknown, each: TakenConfig) => void taken.push(each),
  };
  const gateway = await startTestGateway(t, first.config, { source });
  const told = (): readonly LoggedEvent[] =>
    gateway.events.filter(({ event }) => /^config_(changed|unchanged|refused)$/.test(event));
  return {
    gateway,
    folder,
    file,
    taken,
    write,
    async reload(next) {
      write(next);
      await gateway.reload();
      return told().at(-1);
    },
    async noticed(count) {
      await until(`${count} readings are logged`, () => told().length >= count);
      return told();
    },
  };
}

/** The text of a file. */
export function textOf(words: FileWords | string): string {
  return typeof words === "string" ? words : JSON.stringify({ ...usual, ...words });
}
