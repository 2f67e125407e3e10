/** The keys that are valid now, and the way from a request's headers to one of them. */
import { timingSafeEqual } from "node:crypto";
import type { KeyOptions } from "../../contracts/options.ts";
import type { Metrics, MetricValue } from "../../contracts/telemetry.ts";
import { digestSecret, keyPrefix, parseKey } from "../../core/api-key.ts";
import type { Clock } from "../../core/clock.ts";
import { failure, type Failure } from "../../core/errors.ts";
import { headerValue, type HeaderList, type HeaderMap } from "../../core/headers.ts";
import type { Caller } from "../../core/request.ts";
import { KeyMeter } from "./key-meter.ts";
import { createKeyMeters, type KeyMeters } from "./key-metrics.ts";

/** What a ring needs. */
export interface KeyRingParts {
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** Who calls with a key. */
export interface KeyCaller extends Caller {
  readonly meter: KeyMeter;
}

interface Entry {
  readonly options: KeyOptions;
  /** Of the secret, as text. */
  readonly digest: Buffer;
  readonly caller: KeyCaller;
}

/** Characters of a digest. */
const digestLength = 64;

/** Where keys are looked for, in this order. */
const plainHeaders = ["x-api-key", "api-key", "x-api-token"] as const;

/** Keys by id. Replacing them ends no request: whoever was let in is answered. */
export class KeyRing {
  readonly #clock: Clock;
  readonly #meters: KeyMeters;
  readonly #unknown: MetricValue;
  #entries = new Map<string, Entry>();
  /** What a wrong id is compared with, so that it takes the time a wrong secret takes. */
  readonly #nobody = Buffer.alloc(digestLength);
  /** Written for each request anew. */
  readonly #given = Buffer.alloc(digestLength);

  constructor({ clock, metrics }: KeyRingParts) {
    this.#clock = clock;
    this.#meters = createKeyMeters(metrics);
    this.#unknown = this.#meters.refused.with("unknown", "credentials");
  }

  /** Keys that are valid. */
  get size(): number {
    return this.#entries.size;
  }

  /** Takes the place of all keys so far. A key of the same id goes on with what it has used. */
  replace(keys: readonly KeyOptions[]): void {
    const before = this.#entries;
    this.#entries = new Map(keys.map((key) => [key.id, this.#entryOf(key, before.get(key.id))]));
    for (const [id, { caller }] of before) if (!this.#entries.has(id)) caller.meter.forget();
  }

  /** Whose key a request has. Never says what is wrong with a wrong one. */
  verify(headers: HeaderMap): KeyCaller | Failure {
    const key = presentedKey(headers);
    const parts = key === undefined ? undefined : parseKey(key);
    if (parts === undefined) return this.#unauthorized(key === undefined ? "missing" : "wrong");
    const entry = this.#entries.get(parts.id);
    this.#given.write(digestSecret(parts.secret), "latin1");
    const matches = timingSafeEqual(this.#given, entry?.digest ?? this.#nobody);
    if (!matches || entry === undefined) return this.#unauthorized("wrong");
    const { expiresAtMs } = entry.options;
    if (expiresAtMs !== undefined && this.#clock.wallNow() >= expiresAtMs) return expired(entry.caller);
    return entry.caller;
  }

  #entryOf(options: KeyOptions, before: Entry | undefined): Entry {
    const { id, limits, scopes, models, secretSha256 } = options;
    const meter =
      before?.caller.meter ?? new KeyMeter({ id, limits, clock: this.#clock, meters: this.#meters });
    if (before !== undefined) meter.configure(limits);
    const caller: KeyCaller = { id, scopes, meter, ...(models === undefined ? {} : { models }) };
    return { options, digest: Buffer.from(secretSha256, "latin1"), caller };
  }

  #unauthorized(why: "missing" | "wrong"): Failure {
    this.#unknown.value++;
    return why === "missing" ? keyMissing : keyWrong;
  }
}

/**
 * The text of the key in a request: of the known headers the first that holds one of ours, else any
 * that holds something, so that credentials for somebody else may stand beside it.
 */
function presentedKey(headers: HeaderMap): string | undefined {
  const bearer = bearerToken(headerValue(headers, "authorization"));
  if (bearer?.startsWith(keyPrefix) === true) return bearer;
  let other = bearer;
  for (const name of plainHeaders) {
    const value = headerValue(headers, name);
    if (value === undefined) continue;
    if (value.startsWith(keyPrefix)) return value;
    other ??= value;
  }
  return other;
}

/** The scheme's name is written in any case (RFC 9110, 11.1). Other schemes count as something wrong. */
function bearerToken(value: string | undefined): string | undefined {
  if (value === undefined || value.length < 7) return value;
  if (value.startsWith("Bearer ")) return value.slice(7).trim();
  return value.slice(0, 7).toLowerCase() === "bearer " ? value.slice(7).trim() : value;
}

/** As RFC 6750, 3, asks: an error is named only where there were credentials. */
const challenge = 'Bearer realm="spillway"';

const keyMissing = unauthorized(
  "This gateway needs a key: send it as Authorization: Bearer, x-api-key, api-key or x-api-token",
  [["www-authenticate", challenge]],
);

const keyWrong = unauthorized("The key is not valid", [
  ["www-authenticate", `${challenge}, error="invalid_token"`],
]);

function unauthorized(message: string, headers: HeaderList): Failure {
  return { code: "unauthorized", message, headers };
}

/** Told only to who has the whole key. */
function expired({ id, meter }: KeyCaller): Failure {
  meter.expired();
  return { ...failure("unauthorized", `The key ${id} has expired`), headers: keyWrong.headers ?? [] };
}
