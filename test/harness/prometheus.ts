/** A real Prometheus server for tests. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { stringify } from "yaml";
import { requireProgram } from "./requires.ts";
import { until } from "./until.ts";

/** A server under test. */
export interface Prometheus {
  /** `http://127.0.0.1:port`. */
  readonly origin: string;
  /** Takes another configuration, without losing what it has scraped. */
  reload(config: object): Promise<void>;
}

/**
 * Starts one that serves from `/prometheus/` on a free port and ends with the test. Undefined after the test
 * has been marked as skipped where the program is missing.
 */
export async function startPrometheus(t: TestContext, config: object): Promise<Prometheus | undefined> {
  const program = requireProgram(t, "prometheus", "apt install prometheus");
  if (program === undefined) return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), "spillway-prometheus-"));
  const file = path.join(folder, "prometheus.yml");
  const write = (content: object): void => writeFileSync(file, stringify(content));
  write(config);
  const options = {
    "config.file": file,
    "storage.tsdb.path": path.join(folder, "data"),
    "web.listen-address": "127.0.0.1:0",
    "web.external-url": "/prometheus/",
  };
  const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  t.after(async () => {
    if (child.exitCode === null && child.kill("SIGKILL")) await once(child, "exit");
    rmSync(folder, { recursive: true, force: true });
  });
  const saysAfter = (from: number, pattern: RegExp): Promise<RegExpExecArray> =>
    until(`Prometheus says ${pattern}:\n${said}`, () => {
      if (child.exitCode !== null) throw new Error(`Prometheus has ended:\n${said}`);
      return pattern.exec(said.slice(from)) ?? undefined;
    });
  const [, address = ""] = await saysAfter(0, /Listening on"? address=(\S+)/);
  await saysAfter(0, /ready to receive web requests/);
  return {
    origin: `http://${address}`,
    async reload(next) {
      const from = said.length;
      write(next);
      child.kill("SIGHUP");
      await saysAfter(from, /Completed loading of configuration file/);
    },
  };
}
