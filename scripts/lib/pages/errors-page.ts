// docs/reference/errors.md.
import { grpcStatus } from "@spillway/grpc";
import { errorTable } from "../../../packages/gateway/src/core/errors.ts";
import { banner, code, table } from "./markdown.ts";

const sources = {
  client: "the caller",
  gateway: "Spillway",
  upstream: "a model's process or server",
} as const;

/** The page of the error table. */
export function errorsPage(): string {
  const rows = Object.entries(errorTable).map(([name, { http, grpc, retryable, source, text }]) => {
    return [
      code(name),
      String(http),
      `${grpcName(grpc)} (${grpc})`,
      retryable ? "yes" : "no",
      sources[source],
      text,
    ];
  });
  return `${banner}# Errors

Everything Spillway refuses or fails at has one of these codes. It is in the body of \`/predict\`
(\`{"error": text, "code": code}\`), in logs, and a label value in metrics; the other APIs have error bodies of their own,
with the same text and status. 503 carries \`Retry-After\` where a time is known. The text here is the general one; an
answer says what was expected and what was there.

${table(["Code", "HTTP", "gRPC", "Worth repeating", "Caused by", "Text"], rows)}`;
}

/** `UNAVAILABLE` of 14. */
function grpcName(status: number): string {
  const found = Object.entries(grpcStatus).find(([, number]) => number === status);
  if (found === undefined) throw new Error(`no gRPC status is ${status}`);
  return found[0].replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
