/** A service that rules ask, without a network. */
import type { CalloutAnswer, CalloutFactory, CalloutTarget } from "../../src/contracts/http-callout.ts";
import type { Failure } from "../../src/core/errors.ts";

/** What was asked, and what is answered. */
export interface ScriptedCallout {
  readonly factory: CalloutFactory;
  readonly targets: CalloutTarget[];
  readonly questions: Record<string, unknown>[];
  /** The next answers; the last one again and again. A text is answered as HTML. */
  answers: readonly (object | string | Failure | CalloutAnswer)[];
}

/** Answers with 200 and JSON unless an answer says otherwise. */
export function scriptedCallout(...answers: ScriptedCallout["answers"]): ScriptedCallout {
  const script: ScriptedCallout = {
    answers,
    targets: [],
    questions: [],
    factory: (target) => {
      script.targets.push(target);
      return {
        post({ body }) {
          script.questions.push(JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>);
          const at = Math.min(script.questions.length, script.answers.length) - 1;
          return Promise.resolve(answerOf(script.answers[at] ?? {}));
        },
      };
    },
  };
  return script;
}

function answerOf(answer: object | string): CalloutAnswer | Failure {
  if (typeof answer === "string") {
    return { status: 200, headers: { "content-type": "text/html" }, body: Buffer.from(answer) };
  }
  if ("code" in answer) return answer as Failure;
  if ("body" in answer) return answer as CalloutAnswer;
  const headers = { "content-type": "application/json; charset=utf-8" };
  return { status: 200, headers, body: Buffer.from(JSON.stringify(answer)) };
}
