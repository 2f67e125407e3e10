/** One connection to a server: a socket, and the answer that is being read from it. */
import type { Socket } from "node:net";
import type { Dialer, DialListener, Dialing } from "./dial-server.ts";
import type { ResponseHead } from "./response-head.ts";
import { ResponseParser, type ResponseReceiver } from "./response-parser.ts";

/** Whose connections they are. */
export interface WireOwner {
  /** Its request is done and it can carry another. `keepMs`: how long the server keeps it, where it says. */
  released(wire: ServerWire, keepMs: number | undefined): void;
  /** It has ended while it was idle. */
  lost(wire: ServerWire): void;
}

/** Who uses the connection for a request. */
export interface WireUser {
  /** It is there: the request may be written. */
  connected(socket: Socket): void;
  unreachable(error: Error): void;
  head(head: ResponseHead): void;
  /** `isLast`: `ended` follows at once. */
  body(piece: Buffer, isLast: boolean): void;
  /** The answer is complete. The user has left the connection. */
  ended(): void;
  /** The connection broke or what came is no answer. The user has left the connection. */
  broken(kind: "closed" | "malformed", message: string): void;
  /** The socket takes more. */
  drained(): void;
  /** Whether all of the request was handed to the system, so that another can follow. */
  readonly isSent: boolean;
  /** Whether pieces of the body need to hold only until `body` returns. */
  readonly borrows: boolean;
}

/** Connects with its first user. */
export class ServerWire implements DialListener, ResponseReceiver {
  /** Until when it may idle, on the owner's clock, ms. */
  idleUntil = 0;
  /** From when on it is used rather than the last used, so that it does not end unused; as `idleUntil`. */
  refreshAt = 0;
  readonly #owner: WireOwner;
  readonly #parser = new ResponseParser(this);
  readonly #dial: Dialer;
  #dialing: Dialing | undefined;
  #socket: Socket | undefined;
  #user: WireUser | undefined;
  #keepsAlive = false;
  #keepMs: number | undefined;
  #isPaused = false;

  constructor(owner: WireOwner, dial: Dialer) {
    this.#owner = owner;
    this.#dial = dial;
  }

  /** False where the socket has ended, or is about to. */
  get isUsable(): boolean {
    const socket = this.#socket;
    return socket !== undefined && socket.writable && !socket.readableEnded;
  }

  /** Takes a user on; it hears of the connection at once where there is one. */
  use(user: WireUser, isHeadOnly: boolean): void {
    this.#user = user;
    this.#parser.begin(isHeadOnly);
    if (this.#socket !== undefined) user.connected(this.#socket);
    else this.#dialing = this.#dial(this);
  }

  /** What nobody asked for is not kept either. */
  get borrows(): boolean {
    return this.#user === undefined || this.#user.borrows;
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket?.resume();
  }

  /** The user leaves before its answer is complete: the connection is closed at once. `reset`: what the system has not sent yet is taken back, where it can be. */
  leave(how: "close" | "reset"): void {
    this.#user = undefined;
    this.#parser.stop();
    const socket = this.#socket;
    if (
      how === "reset" &&
      socket !== undefined &&
      !("encrypted" in socket) &&
      socket.remoteAddress !== undefined
    )
      socket.resetAndDestroy();
    this.destroy();
  }

  /** Closes the connection, or gives it up while it is being made. */
  destroy(): void {
    const dialing = this.#dialing;
    this.#dialing = undefined;
    dialing?.cancel();
    this.#socket?.destroy();
  }

  opened(error: Error | undefined, socket: Socket | undefined): void {
    this.#dialing = undefined;
    const user = this.#user;
    if (socket === undefined) {
      this.#user = undefined;
      return user?.unreachable(error ?? new Error("no connection"));
    }
    this.#socket = socket;
    if (user === undefined) return this.destroy();
    socket.on("end", () => this.#closed("the server closed the connection before its answer was complete"));
    socket.on("error", (reason) => this.#closed(reason.message));
    socket.on("close", () => this.#closed("the connection ended"));
    socket.on("drain", () => this.#user?.drained());
    user.connected(socket);
  }

  received(piece: Buffer): void {
    // Nobody asked: what an idle connection says is its end.
    if (this.#user === undefined) return this.#closed("");
    try {
      const problem = this.#parser.push(piece);
      if (problem !== undefined) this.#break("malformed", problem);
    } catch (error) {
      this.#break("closed", error instanceof Error ? error.message : String(error));
    }
  }

  onHead(head: ResponseHead): void {
    this.#keepsAlive = head.keepsAlive && head.framing !== "until-close";
    this.#keepMs = head.keepAliveMs;
    this.#user?.head(head);
  }

  onBody(piece: Buffer, isLast: boolean): void {
    this.#user?.body(piece, isLast);
  }

  onEnd(isClean: boolean): void {
    const user = this.#user;
    if (user === undefined) return;
    this.#user = undefined;
    const socket = this.#socket;
    if (isClean && this.#keepsAlive && user.isSent && socket !== undefined && this.isUsable) {
      if (this.#isPaused) this.resume();
      this.#owner.released(this, this.#keepMs);
    } else this.destroy();
    user.ended();
  }

  /** The socket has ended; what follows of it says nothing more. */
  #closed(message: string): void {
    if (this.#user === undefined) this.#owner.lost(this);
    else if (!this.#parser.close()) this.#break("closed", message);
    this.destroy();
  }

  #break(kind: "closed" | "malformed", message: string): void {
    const user = this.#user;
    this.#user = undefined;
    this.#parser.stop();
    this.destroy();
    user?.broken(kind, message);
  }
}
