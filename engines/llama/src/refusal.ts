/** Reasons why a request is not served, in the terms of HTTP and of OpenAI's error bodies. */

/** What went wrong; each has one HTTP status. */
export type RefusalCode =
  | "invalid_request"
  | "unsupported"
  | "context_length_exceeded"
  | "model_not_found"
  | "model_broken"
  | "model_too_large"
  | "not_found"
  | "body_too_large"
  | "busy"
  | "out_of_memory"
  | "internal";

const statusOf: Readonly<Record<RefusalCode, number>> = {
  invalid_request: 400,
  unsupported: 400,
  context_length_exceeded: 400,
  model_not_found: 404,
  model_broken: 422,
  model_too_large: 422,
  not_found: 404,
  body_too_large: 413,
  busy: 503,
  out_of_memory: 503,
  internal: 500,
};

/** Seconds after which a client may try again what was refused for want of room. */
const retryAfterSeconds = 1;

/** Thrown up to the door, which answers with it. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  /** The field of the body that is at fault. */
  readonly field: string | undefined;

  constructor(code: RefusalCode, message: string, field?: string) {
    super(message);
    this.name = "Refusal";
    this.code = code;
    this.field = field;
  }

  /** HTTP status. */
  get status(): number {
    return statusOf[this.code];
  }

  /** Seconds for `Retry-After`; undefined where trying again changes nothing. */
  get retryAfter(): number | undefined {
    return this.status === 503 ? retryAfterSeconds : undefined;
  }
}

/** Any error as a refusal: one that is none is an internal error with its message. */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal("internal", errorText(error));
}

/** The message of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
