/** One connection to a model server, from its opening until the last call on it has ended. */
import type { GrpcChannel } from "@spillway/grpc";
import { Host } from "./host.ts";

/** What a connection is made of. */
export interface RemoteLinkOptions {
  /** Address of the server, for people. */
  readonly id: string;
  /** Not connected yet, and nobody else's. */
  readonly channel: GrpcChannel;
  /** It takes no more calls: it broke, the server says goodbye, or a call passed its deadline. Called at most once, never after `retire`. */
  readonly onLost: (reason: string) => void;
}

/**
 * A channel that is connected once, and the host that the batcher sees. When the server goes away the
 * calls on it end as they may (after a GOAWAY they are still answered); another link is then another host.
 */
export class RemoteLink {
  readonly host: Host;
  readonly channel: GrpcChannel;
  readonly #onLost: (reason: string) => void;
  #state: "open" | "retiring" | "closed" = "open";
  #connected = false;

  constructor(options: RemoteLinkOptions) {
    this.channel = options.channel;
    this.#onLost = options.onLost;
    this.host = new Host(options.id, () => this.abandon("a call was not answered in time"));
    this.channel.onState((state) => {
      if (state === "idle") this.#lose("the server takes no more calls");
      else if (state === "failed" && this.#connected) this.#lose("the connection was lost");
    });
  }

  /** Connects; `done` hears of success. A failure is a loss like any other. */
  connect(done: () => void): void {
    this.channel.connect((failure) => {
      if (failure !== undefined) return this.#lose(failure.message);
      this.#connected = true;
      done();
    });
  }

  /** Takes no new calls, lets those that run be answered, then closes. The deadline of each call bounds it. Idempotent. */
  retire(): void {
    if (this.#state !== "open") return;
    this.#state = "retiring";
    this.host.onChange(() => this.#closeWhenIdle());
    this.host.retire();
  }

  /** Closes at once: the calls that run fail as those of a server that died. */
  abandon(reason: string): void {
    this.#lose(reason);
    this.close();
  }

  /** Ends everything. Idempotent. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.channel.close();
    this.host.markGone();
  }

  #lose(reason: string): void {
    if (this.#state !== "open") return;
    this.retire();
    this.#onLost(reason);
  }

  #closeWhenIdle(): void {
    if (this.#state === "retiring" && this.host.running === 0) this.close();
  }
}
