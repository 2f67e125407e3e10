/** What can go wrong, as data: set when a server starts, over its control API, or by a request's own header. */

/** One fault; fields combine. Times are real milliseconds, never scaled. */
export interface Fault {
  /** Only requests whose path starts so. */
  readonly path?: string;
  /** Only requests of this method, in upper case. */
  readonly method?: string;
  /** Only requests for this model. */
  readonly model?: string;
  /** Requests that pass unharmed first. Default 0. */
  readonly skip?: number;
  /** Requests it strikes before it is used up. Default: no end. */
  readonly times?: number;
  /** Share of matching requests it strikes, 0 to 1, by the seed. Default 1. */
  readonly probability?: number;

  /** Nothing is sent for so long. */
  readonly delayHeadersMs?: number;
  /** A stream's head is sent, its first event so much later than it would have been. */
  readonly delayFirstTokenMs?: number;
  /** Answers with this status and the face's error body. */
  readonly status?: number;
  /** The `Retry-After` header that goes with `status`. */
  readonly retryAfter?: number | string;
  /** The error text of `status` and `errorAfterEvents`. */
  readonly message?: string;
  /** `status` comes as a proxy's page instead of the face's error. */
  readonly html?: boolean;
  /** Closes the connection instead of answering. */
  readonly cutBeforeHeaders?: boolean;
  /** Closes the connection when a second request comes over it. */
  readonly closeOnReuse?: boolean;
  /** Closes the connection and the listener, and listens on the same port again so much later. */
  readonly refuseMs?: number;

  /** Breaks a stream off after so many events; 0 is after the head. */
  readonly cutAfterEvents?: number;
  /** Breaks off before the event that ends the stream (`[DONE]`, `message_stop`, `done: true`), a body halfway. */
  readonly cutBeforeFinal?: boolean;
  /** How a stream breaks: `close` the connection (default), `reset` it, or `end` the answer as if it were whole. */
  readonly cut?: "close" | "reset" | "end";
  /** Sends nothing more after so many events and leaves the connection open. */
  readonly stallAfterEvents?: number;
  /** After so many events, one that is no JSON. The stream goes on. */
  readonly malformedAfterEvents?: number;
  /** After so many events, the face's error object, then the end of the stream. */
  readonly errorAfterEvents?: number;
  /** Pads the first event with a field of so many bytes. */
  readonly hugeEventBytes?: number;
  /** Sends the body in pieces of `bytes`, `everyMs` apart: through the middle of characters, lines and frames. */
  readonly slow?: { readonly bytes: number; readonly everyMs: number };
  /** Ends lines with CR LF. */
  readonly crlf?: boolean;
  /** SSE comments before each event, so many. */
  readonly comments?: number;
  /** Leaves out the white space after the last event. */
  readonly noFinalNewline?: boolean;
}

const NUMBERS = [
  "skip",
  "times",
  "probability",
  "delayHeadersMs",
  "delayFirstTokenMs",
  "status",
  "refuseMs",
  "cutAfterEvents",
  "stallAfterEvents",
  "malformedAfterEvents",
  "errorAfterEvents",
  "hugeEventBytes",
  "comments",
] as const satisfies (keyof Fault)[];
const SWITCHES = [
  "html",
  "cutBeforeHeaders",
  "closeOnReuse",
  "cutBeforeFinal",
  "crlf",
  "noFinalNewline",
] as const satisfies (keyof Fault)[];
const TEXTS = ["path", "method", "model", "message"] as const satisfies (keyof Fault)[];

/** The names of all fields of a fault. */
export const faultFields: readonly string[] = [
  ...NUMBERS,
  ...SWITCHES,
  ...TEXTS,
  "retryAfter",
  "cut",
  "slow",
];

/** Reads a fault from JSON. Throws a `TypeError` that names the field. */
export function parseFault(value: unknown): Fault {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new TypeError("a fault is an object");
  for (const [name, each] of Object.entries(value)) checkField(name, each);
  return value;
}

function checkField(name: string, value: unknown): void {
  const wrong = (expected: string): never => {
    throw new TypeError(`the fault's ${name} must be ${expected}, it is ${JSON.stringify(value)}`);
  };
  if (has(NUMBERS, name)) {
    if (typeof value !== "number" || !(value >= 0)) wrong("a number from 0");
    if (name === "status" && !(Number(value) >= 200 && Number(value) <= 599))
      wrong("a status from 200 to 599");
  } else if (has(SWITCHES, name)) {
    if (typeof value !== "boolean") wrong("true or false");
  } else if (has(TEXTS, name)) {
    if (typeof value !== "string") wrong("a text");
  } else if (name === "retryAfter") {
    if (typeof value !== "number" && typeof value !== "string") wrong("seconds or a date");
  } else if (name === "cut") {
    if (value !== "close" && value !== "reset" && value !== "end") wrong('"close", "reset" or "end"');
  } else if (name === "slow") {
    const { bytes, everyMs } = Object(value) as { bytes?: unknown; everyMs?: unknown };
    if (typeof bytes !== "number" || !(bytes >= 1) || typeof everyMs !== "number" || !(everyMs >= 0))
      wrong("{bytes from 1, everyMs from 0}");
  } else throw new TypeError(`a fault has no field ${name}; there are ${faultFields.join(", ")}`);
}

function has(names: readonly string[], name: string): boolean {
  return names.includes(name);
}

/** What a fault is chosen by. */
export interface FaultTarget {
  readonly path: string;
  readonly method: string;
  readonly model: string | undefined;
}

/** The faults of a server: the first that matches strikes. */
export class FaultPlan {
  #faults: { fault: Fault; seen: number; struck: number }[] = [];
  readonly #unit: () => number;

  /** @param unit uniform in [0, 1), for `probability` */
  constructor(unit: () => number, faults: readonly Fault[] = []) {
    this.#unit = unit;
    for (const fault of faults) this.add(fault);
  }

  /** Adds a fault after the others. At most 1,000 are kept; the oldest goes. */
  add(fault: Fault): void {
    this.#faults.push({ fault: parseFault(fault), seen: 0, struck: 0 });
    if (this.#faults.length > 1000) this.#faults.shift();
  }

  /** Replaces all faults; counting starts anew. */
  set(faults: readonly Fault[]): void {
    this.#faults = [];
    for (const fault of faults) this.add(fault);
  }

  /** Removes all faults. */
  clear(): void {
    this.#faults = [];
  }

  /** Every fault and how many requests it struck. */
  list(): { fault: Fault; struck: number }[] {
    return this.#faults.map(({ fault, struck }) => ({ fault, struck }));
  }

  /** The fault for a request, counted. */
  choose(target: FaultTarget): Fault | undefined {
    for (const entry of this.#faults) {
      const { fault } = entry;
      if (fault.path !== undefined && !target.path.startsWith(fault.path)) continue;
      if (fault.method !== undefined && fault.method !== target.method) continue;
      if (fault.model !== undefined && fault.model !== target.model) continue;
      if (entry.struck >= (fault.times ?? Infinity)) continue;
      entry.seen += 1;
      if (entry.seen <= (fault.skip ?? 0)) continue;
      if (fault.probability !== undefined && this.#unit() >= fault.probability) continue;
      entry.struck += 1;
      return fault;
    }
    return undefined;
  }
}
