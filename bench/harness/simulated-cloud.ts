/** The simulated cloud as a process of its own, which can be taken away, slowed down and made to flap. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { urlOf } from "./gateway.ts";
import { freePort, ServerProcess } from "./serve.ts";
import type { Address } from "./serve.ts";

/** `down`: nothing listens. `flapping`: every request is cut, then none, in turns. */
export type CloudState = "up" | "down" | "slow" | "flapping";

/** How a cloud is set up. */
export interface SimulatedCloudOptions {
  readonly directory: string;
  /** Detectors, tokens and pace as `spillway simulate --cloud` reads them. */
  readonly cloud: Readonly<Record<string, unknown>>;
  /** How late answers are when it is slow. */
  readonly slowMs: number;
  /** How long it is away and there in turns when it flaps. */
  readonly flapMs: number;
}

const HOST = "127.0.0.1";

/** A cloud that is up at first. It does not outlive this process. */
export class SimulatedCloud {
  readonly address: Address;
  readonly #options: SimulatedCloudOptions;
  #server: ServerProcess | null = null;
  #flapping: { readonly stop: AbortController; readonly done: Promise<void> } | null = null;

  private constructor(address: Address, options: SimulatedCloudOptions) {
    this.address = address;
    this.#options = options;
  }

  /** Rejects when it does not start. The caller closes it. */
  static async start(options: SimulatedCloudOptions): Promise<SimulatedCloud> {
    await writeFile(join(options.directory, "cloud.json"), JSON.stringify(options.cloud));
    const cloud = new SimulatedCloud({ host: HOST, port: await freePort() }, options);
    await cloud.#run();
    return cloud;
  }

  /** Resolves when it is so. */
  async become(state: CloudState): Promise<void> {
    await this.#stopFlapping();
    if (state === "down") return this.close();
    await this.#run();
    await this.#setFaults(state === "slow" ? [{ delayHeadersMs: this.#options.slowMs }] : []);
    if (state !== "flapping") return;
    const stop = new AbortController();
    this.#flapping = { stop, done: this.#flap(stop.signal) };
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#stopFlapping();
    await this.#server?.close();
    this.#server = null;
  }

  async #run(): Promise<void> {
    const { port } = this.address;
    const file = join(this.#options.directory, "cloud.json");
    this.#server ??= await ServerProcess.start({
      name: "cloud",
      script: "packages/gateway/src/cli/main.ts",
      args: ["simulate", "--face", "groundlight", "--cloud", file, "--port", String(port)],
      ready: { kind: "http", address: this.address, path: "/simulator/state" },
    });
  }

  async #flap(signal: AbortSignal): Promise<void> {
    for (let isAway = true; !signal.aborted; isAway = !isAway) {
      await this.#setFaults(isAway ? [{ cutBeforeHeaders: true }] : []);
      await sleep(this.#options.flapMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #stopFlapping(): Promise<void> {
    this.#flapping?.stop.abort();
    await this.#flapping?.done;
    this.#flapping = null;
  }

  async #setFaults(faults: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    const url = urlOf(this.address, "/simulator/faults");
    const headers = { "content-type": "application/json" };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(faults) });
    if (!answer.ok) throw new Error(`the simulated cloud: ${await answer.text()}`);
  }
}
