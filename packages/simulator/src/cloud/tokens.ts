/** Who may call, and the routes under `/v1/api-tokens`. */
import type { Clock } from "../clock.ts";
import { fields, text } from "../faces/fields.ts";
import type { Random } from "../random.ts";
import type { CloudTokenSpec } from "./cloud-options.ts";
import { makeId } from "./ids.ts";
import { invalid, notFound, pageOf } from "./reply.ts";
import type { CloudCall, Reply } from "./reply.ts";
import type { TokenRecord } from "./records.ts";

const MAX_TOKENS = 1000;
/** What is shown of a token: its first characters. */
const SNIPPET = 20;

/** The tokens of all accounts, at most 1,000; made ones push out the oldest. */
export class TokenBook {
  readonly #byToken = new Map<string, TokenRecord>();
  readonly #clock: Clock;
  readonly #random: Random;
  /** Nobody was named: everybody may call. */
  readonly #open: boolean;

  constructor(specs: readonly (CloudTokenSpec | string)[], clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#open = specs.length === 0;
    for (const [at, spec] of specs.entries())
      this.#add(typeof spec === "string" ? { token: spec } : spec, `token ${at + 1}`);
  }

  /** The account of the first token; `default` where there is none. */
  get firstAccount(): string {
    for (const { account } of this.#byToken.values()) return account;
    return "default";
  }

  /** Whose token it is; undefined for a token that is unknown or has expired. */
  find(token: string): TokenRecord | undefined {
    const found = this.#byToken.get(token) ?? (this.#open ? this.#add({ token }, "any token") : undefined);
    if (found === undefined) return undefined;
    const now = this.#clock.wallNow();
    if (found.expiresAt !== null && found.expiresAt <= now) return undefined;
    found.lastUsedAt = now;
    return found;
  }

  /** `GET /v1/api-tokens`: the caller's account's. */
  list(call: CloudCall): Reply {
    return pageOf(call, "/device-api/v1/api-tokens", this.#ofAccount(call), writeToken);
  }

  /** `POST /v1/api-tokens`: a token with the caller's lifetime; its secret is said this once. */
  create(call: CloudCall): Reply {
    const name = text(fields(call.body)["name"]);
    if (name === undefined || name === "") return invalid("name", "This field is required.");
    if (name.length > 64) return invalid("name", "Ensure this field has no more than 64 characters.");
    if (this.#ofAccount(call).some((each) => each.name === name))
      return invalid("name", "An API token with this name already exists.");
    const { account, email, isSuperuser, ttlSeconds } = call.caller;
    const spec = { token: makeId("api_", this.#random), account, email, isSuperuser };
    const made = this.#add({ ...spec, ...(ttlSeconds !== null && { ttlSeconds }) }, name, ttlSeconds);
    return { status: 201, json: { ...writeToken(made), raw_key: made.token } };
  }

  /** `GET /v1/api-tokens/by-snippet/:snippet`. */
  bySnippet(call: CloudCall): Reply {
    const found = this.#ofAccount(call).find(({ token }) => token.slice(0, SNIPPET) === call.path["snippet"]);
    return found === undefined ? notFound() : { json: writeToken(found) };
  }

  /** `DELETE /v1/api-tokens/:name`. */
  remove(call: CloudCall): Reply {
    const found = this.#ofAccount(call).find(({ name }) => name === call.path["name"]);
    if (found === undefined) return notFound();
    this.#byToken.delete(found.token);
    return { status: 204 };
  }

  #ofAccount({ caller }: CloudCall): TokenRecord[] {
    return [...this.#byToken.values()].filter(({ account }) => account === caller.account);
  }

  #add(spec: CloudTokenSpec, name: string, expiresAfterSeconds: number | null = null): TokenRecord {
    const createdAt = this.#clock.wallNow();
    const record: TokenRecord = {
      token: spec.token,
      name: spec.name ?? name,
      account: spec.account ?? "default",
      email: spec.email ?? "user@example.com",
      isSuperuser: spec.isSuperuser ?? false,
      ttlSeconds: spec.ttlSeconds ?? null,
      createdAt,
      expiresAt: expiresAfterSeconds === null ? null : createdAt + expiresAfterSeconds * 1000,
      lastUsedAt: null,
    };
    this.#byToken.set(spec.token, record);
    const [oldest] = this.#byToken.keys();
    if (this.#byToken.size > MAX_TOKENS && oldest !== undefined) this.#byToken.delete(oldest);
    return record;
  }
}

function writeToken({ token, name, createdAt, lastUsedAt, expiresAt, ttlSeconds }: TokenRecord): object {
  const moment = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
  return {
    name,
    raw_key_snippet: token.slice(0, SNIPPET),
    created_at: moment(createdAt),
    last_used_at: moment(lastUsedAt),
    expires_at: moment(expiresAt),
    token_ttl: ttlSeconds,
  };
}

/** `GET /v1/me`. Accounts are numbered by name. */
export function whoAmI({ caller: { email, account, isSuperuser } }: CloudCall): Reply {
  let id = 1;
  for (let at = 0; at < account.length; at++) id = (id * 31 + account.charCodeAt(at)) % 1_000_000;
  return {
    json: { email, username: email, group: { id, name: account }, is_superuser: isSuperuser },
  };
}
