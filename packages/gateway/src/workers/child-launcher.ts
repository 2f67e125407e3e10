/** Starts worker processes as children of the gateway, each on a Unix socket in a private folder. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatWorkerSpec, workerSpecVariable, type WorkerModelSpec } from "@spillway/worker";
import type { LaunchedWorker, Launcher, WorkerModel, WorkerSpec } from "../contracts/launcher.ts";
import type { Logger } from "../contracts/telemetry.ts";
import { makeSocketFolder } from "./socket-folder.ts";
import { SupervisedChild } from "./supervised-child.ts";

/** What the launcher needs. */
export interface ChildLauncherOptions {
  /** The worker's program, a file URL or path. */
  readonly program: string;
  readonly logger: Logger;
  /** Where the sockets' folder is made; default the system's temporary folder. */
  readonly temporary?: string;
}

/** Starts children. The folder for their sockets has mode 0700 and goes with `close`. */
export function createChildLauncher(options: ChildLauncherOptions): Launcher {
  const folder = makeSocketFolder(options.temporary ?? tmpdir());
  const running = new Set<ChildWorker>();
  let launched = 0;
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true });
  process.on("exit", removeFolder);
  return {
    launch(spec) {
      const socket = join(folder, `${launched++}.sock`);
      const worker = new ChildWorker(spec, socket, options);
      running.add(worker);
      worker.onExit(() => {
        running.delete(worker);
        rmSync(socket, { force: true });
      });
      return worker;
    },
    close() {
      for (const worker of running) worker.kill();
      process.off("exit", removeFolder);
      removeFolder();
    },
  };
}

/** One worker. */
class ChildWorker extends SupervisedChild implements LaunchedWorker {
  readonly address: string;

  constructor({ id, models }: WorkerSpec, socket: string, { program, logger }: ChildLauncherOptions) {
    const environment = { [workerSpecVariable]: specText(socket, models) };
    super({ id, role: "worker", program, args: ["--supervised"], environment, logger });
    this.address = `unix:${socket}`;
  }
}

/** Linux takes no variable beyond 128 KiB. */
const maxVariableBytes = 100_000;

/** What the worker is to load. Settings with very many labels are left out: it then reads them from the disk itself. */
function specText(socket: string, models: readonly WorkerModel[]): string {
  const text = formatWorkerSpec({ socket, models: models.map(toModelSpec) });
  if (Buffer.byteLength(text) <= maxVariableBytes) return text;
  return formatWorkerSpec({ socket, models: models.map(({ settings: _, ...model }) => model) });
}

/** What the repository read goes to the worker as it is: it then loads neither the YAML parser nor the schema. */
function toModelSpec({ settings, ...model }: WorkerModel): WorkerModelSpec {
  return { ...model, ...(settings as Pick<WorkerModelSpec, "config" | "engine"> | undefined) };
}
