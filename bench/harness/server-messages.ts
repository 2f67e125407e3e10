/** The words between the harness and the reference servers it starts. */
import type { LoopDelay } from "../load/loop-delay.ts";

/** What a server says: once where it listens, then its event-loop delay whenever it is asked. */
export type ServerMessage =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "loop-delay"; readonly loopDelay: LoopDelay };

/**
 * What a server is told: `reset` counts event-loop delay anew, `report` asks for it, `stop` asks for it and ends the
 * server.
 */
export type ServerOrder =
  | { readonly type: "reset" }
  | { readonly type: "report" }
  | { readonly type: "stop" };
