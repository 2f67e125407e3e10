/** What all reference servers share: listen on a free loopback port, say where, and account for themselves. */
import type { Server } from "node:http";
import { loopDelayOf, watchLoop } from "../load/loop-delay.ts";
import type { ServerMessage, ServerOrder } from "../harness/server-messages.ts";

const BACKLOG = 4096;

/**
 * Runs a server until its parent orders it to stop or goes away. Without a parent it prints its address and runs until
 * a signal ends it. `PORT` in the environment chooses the port.
 */
export function serveReference(server: Server): void {
  const loop = watchLoop();
  server.keepAliveTimeout = 0;
  server.listen({ host: "127.0.0.1", port: Number(process.env["PORT"] ?? 0), backlog: BACKLOG }, () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("expected a TCP address");
    if (process.send === undefined) console.log(`listening on http://127.0.0.1:${address.port}`);
    else tell({ type: "listening", port: address.port });
  });
  process.on("message", ({ type }: ServerOrder) => {
    if (type === "reset") loop.reset();
    else {
      tell({ type: "loop-delay", loopDelay: loopDelayOf(loop) }, () => {
        if (type === "stop") process.exit(0);
      });
    }
  });
  process.on("disconnect", () => process.exit(0));
}

function tell(message: ServerMessage, then?: () => void): void {
  process.send?.(message, undefined, undefined, () => then?.());
}
