/** The Portkey gateway, the best-known one in TypeScript: installed from the npm registry for a run, started before a server. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { FigureContext } from "./figure.ts";
import { freePort, ServerProcess } from "./serve.ts";
import type { Address } from "./serve.ts";

/** Fixed, so that figures of different days compare with the same program. */
const VERSION = "1.15.2";
const INSTALL_TIMEOUT_MS = 300_000;

/** A started Portkey. */
export interface Portkey {
  readonly server: ServerProcess;
  /** What a request must say so that Portkey sends it to the server behind. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Installs it in the run's folder and starts it. The caller closes the server. */
export async function startPortkey(context: FigureContext, upstream: Address): Promise<Portkey> {
  context.log(`installing @portkey-ai/gateway ${VERSION}`);
  const { directory } = context;
  await writeFile(join(directory, "package.json"), '{"private":true}\n');
  const install = [
    "install",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    `@portkey-ai/gateway@${VERSION}`,
  ];
  await promisify(execFile)("npm", install, { cwd: directory, timeout: INSTALL_TIMEOUT_MS });
  const address = { host: "127.0.0.1", port: await freePort() };
  const server = await ServerProcess.start({
    name: "portkey",
    script: join(directory, "node_modules/@portkey-ai/gateway/build/start-server.js"),
    args: [`--port=${address.port}`, "--headless"],
    cwd: directory,
    env: { NODE_ENV: "production" },
    ready: { kind: "http", address, path: "/" },
  });
  const host = `http://${upstream.host}:${upstream.port}/v1`;
  return {
    server,
    headers: {
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": host,
      Authorization: "Bearer unused",
    },
  };
}
