/** A service that rules ask, over a real socket. */
import type { TestContext } from "node:test";
import {
  startScriptedServer,
  type ScriptedRequest,
  type ScriptedServer,
} from "../../packages/gateway/test/support/scripted-server.ts";

/** A running service. */
export interface RuleService {
  readonly url: string;
  readonly server: ScriptedServer;
  /** What it was asked, in its order. */
  readonly questions: Record<string, unknown>[];
  /** What it does with a question; an object is answered as JSON. */
  answer: (request: ScriptedRequest) => object | undefined;
}

/** Listens until the test ends. */
export async function startRuleService(
  test: Pick<TestContext, "after">,
  answer: RuleService["answer"],
): Promise<RuleService> {
  const questions: Record<string, unknown>[] = [];
  const server = await startScriptedServer(test, (request) => {
    questions.push(JSON.parse(request.body.toString()) as Record<string, unknown>);
    const said = service.answer(request);
    if (said === undefined) return;
    request.response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(said));
  });
  const service: RuleService = { url: `${server.origin}/ask`, server, questions, answer };
  return service;
}
