/** A server that has pages of metrics alone, and says what the test wants. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";

/** What it does with a request. */
export type MetricsAnswer = string | ((response: ServerResponse) => void);

/** A running one. */
export interface MetricsServer {
  readonly url: string;
  readonly port: number;
  /** Pages that were asked for, and connections there were. */
  readonly counts: { asked: number; connections: number; atOnce: number };
  /** A page, or what to do. */
  answer: MetricsAnswer;
  /** Stops to listen and resets every connection. */
  kill(): Promise<void>;
  /** Listens again on its port. */
  revive(): Promise<void>;
}

/** Starts one that ends with its test. */
export async function startMetricsServer(
  test: Pick<TestContext, "after">,
  answer: MetricsAnswer,
  path = "/metrics",
): Promise<MetricsServer> {
  const counts = { asked: 0, connections: 0, atOnce: 0 };
  const sockets = new Set<Socket>();
  let open = 0;
  const server = createServer((request, response) => {
    if (request.url !== path) return void response.writeHead(404).end();
    counts.asked++;
    open++;
    counts.atOnce = Math.max(counts.atOnce, open);
    response.on("close", () => open--);
    if (typeof running.answer === "string") response.end(running.answer);
    else running.answer(response);
  });
  server.on("connection", (socket) => {
    counts.connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const kill = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  const running: MetricsServer = {
    url: `http://127.0.0.1:${port}`,
    port,
    counts,
    answer,
    kill,
    revive: () => listen(port),
  };
  test.after(() => (server.listening ? kill() : undefined));
  return running;
}
