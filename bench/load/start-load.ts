/** Runs a load specification in a process of its own. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadMessage, LoadOrder } from "./load-messages.ts";
import type { LoadPhase } from "./driver.ts";
import type { LoadResult } from "./load-result.ts";
import type { LoadSpec } from "./load-spec.ts";

/** A load process under way. The promises reject when it ends without saying so. */
export interface LoadProcess {
  readonly pid: number;
  /** The measured window has begun. */
  readonly measuring: Promise<void>;
  /** The measured window is over; requests may still be in flight. */
  readonly measured: Promise<void>;
  readonly result: Promise<LoadResult>;
  /** Ends the measured window now; the result follows. */
  stop(): void;
  /** Ends the process without a result. Idempotent. */
  close(): void;
}

const ENTRY = fileURLToPath(new URL("./load-process.ts", import.meta.url));

/** Starts a run. The process ends by itself, after its time or when this process goes away. */
export function startLoad(spec: LoadSpec): LoadProcess {
  const child = fork(ENTRY, {
    execPath: process.execPath,
    execArgv: ["--conditions=source"],
    stdio: "inherit",
  });
  const messages = listen(child);
  const order: LoadOrder = { type: "run", spec };
  child.send(order);
  return {
    pid: child.pid ?? -1,
    ...messages,
    stop: () => {
      const stop: LoadOrder = { type: "stop" };
      if (child.connected) child.send(stop);
    },
    close: () => void child.kill("SIGKILL"),
  };
}

function listen(child: ChildProcess): Pick<LoadProcess, "measuring" | "measured" | "result"> {
  const measuring = Promise.withResolvers<void>();
  const measured = Promise.withResolvers<void>();
  const result = Promise.withResolvers<LoadResult>();
  const phases: Record<LoadPhase, PromiseWithResolvers<void>> = { measuring, measured };
  const fail = (error: Error): void =>
    [measuring, measured, result].forEach((promise) => promise.reject(error));
  child.on("message", (message: LoadMessage) => {
    if (message.type === "phase") phases[message.phase].resolve();
    else if (message.type === "error") fail(new Error(`load: ${message.message}`));
    else {
      measuring.resolve();
      measured.resolve();
      result.resolve(message.result);
    }
  });
  child.once("error", fail);
  child.once("exit", (code, signal) => fail(new Error(`the load process ended early (${signal ?? code})`)));
  for (const { promise } of [measuring, measured, result]) promise.catch(() => undefined);
  return { measuring: measuring.promise, measured: measured.promise, result: result.promise };
}
