/** The kinds of value that `spillway.yaml` is made of, each with the words its errors use. */
import * as z from "zod";
import { isKeyId, isMoment, momentPattern } from "../core/api-key.ts";
import { readHttpAddress } from "../core/http-address.ts";
import { isModelName } from "../core/model.ts";
import { durationPattern, parseDuration, parseSize, sizePattern } from "./units.ts";

/** What a value should have been: `expected …` in errors, the type on the reference page. */
export const expectations = z.registry<{
  readonly expected: string;
  /** The value is not to be shown. */
  readonly secret?: boolean;
  /** Of a union of mappings: the key that tells them apart. */
  readonly tag?: string;
}>();

const secretPattern = /^sha256:[0-9a-f]{64}$/;

/** A text that passes a test, named by what is expected of it. */
function text(expected: string, isValid: (value: string) => boolean, pattern?: RegExp) {
  const schema = z.string().refine(isValid);
  return (pattern === undefined ? schema : schema.meta({ pattern: pattern.source })).register(expectations, {
    expected,
  });
}

/** A duration within bounds, given as texts: `duration("1ms", "1h")`. `0s` passes where `zero` says what it means. */
export function duration(min: string, max: string, options: { readonly zero?: string } = {}) {
  const [low = 0, high = 0] = [parseDuration(min), parseDuration(max)];
  const zero = options.zero === undefined ? "" : `, or 0s ${options.zero}`;
  return text(
    `a duration from ${min} to ${max}, such as 500ms, 10s or 2m${zero}`,
    (value) => {
      const ms = parseDuration(value);
      return ms !== undefined && ((ms >= low && ms <= high) || (ms === 0 && zero !== ""));
    },
    durationPattern,
  );
}

/** A number of bytes within bounds, given as texts: `size("1KiB", "1GiB")`. */
export function size(min: string, max: string) {
  const [low = 0, high = 0] = [parseSize(min), parseSize(max)];
  return text(
    `a size from ${min} to ${max}, such as 64MiB or 64MB`,
    (value) => {
      const bytes = parseSize(value);
      return bytes !== undefined && bytes >= low && bytes <= high;
    },
    sizePattern,
  );
}

/** A whole number within bounds. */
export function whole(min: number, max: number) {
  return z
    .int()
    .min(min)
    .max(max)
    .register(expectations, { expected: `a whole number from ${min} to ${max}` });
}

/** A TCP port; 0 takes any that is free. */
export const port = whole(0, 65_535);

/** Something a socket can be bound to. */
export const bindAddress = text(
  "an IP address or a host name, without a port",
  (value) => isHostName(value) || (value.includes(":") && URL.canParse(`http://[${value}]`)),
);

/** What the `Host` header of a request may say. */
export const hostName = text("a host name without a port, such as spillway.example", isHostName);

/** An origin as browsers send it. */
export const origin = text("an origin such as https://app.example, without a path", (value) => {
  const url = URL.parse(value);
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === value;
});

/** A server whose paths are the gateway's own. */
export const serverOrigin = text("an address such as http://127.0.0.1:3007, without a path", (value) => {
  const url = URL.parse(value);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") return false;
  return url.username === "" && url.password === "" && !/[?#]/.test(value) && url.pathname === "/";
});

/** The name of a model or pool. */
export const name = text(
  "a name of at most 128 letters, digits, dots, dashes and underscores that starts with a letter or digit",
  isModelName,
);

/** The type of a plugin. */
export const pluginType = text(
  "the type of a plugin: lower-case letters, digits and dashes",
  (value) => /^[a-z0-9][a-z0-9-]{0,63}$/.test(value),
  /^[a-z0-9][a-z0-9-]{0,63}$/,
);

/** The address of a gRPC server. */
export const grpcAddress = text(
  "an address such as grpc://host:50051 (http:// where the pool has dialect: auto)",
  (value) => {
    const url = URL.parse(value);
    if (url === null || !/^grpcs?:$/.test(url.protocol)) return false;
    return url.hostname !== "" && url.port !== "" && /^\/?$/.test(url.pathname) && url.search === "";
  },
);

/** The address of a server that speaks HTTP. */
export const httpAddress = text(
  "an address such as http://host:8000, https://host/base or unix:/path",
  (value) => readHttpAddress(value) !== undefined,
);

/** What a server may call a model: `llama3.2:1b`, `hf.co/someone/model:Q4`. */
export const pooledModel = text(
  "a model's name of at most 256 characters without spaces",
  (value) => value.length <= 256 && /^[^\s\p{C}]+$/u.test(value),
);

/** The name of a header that may be set: those that frame a message may not. */
export const headerName = text(
  "the name of a header other than those that belong to the connection",
  (value) =>
    /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(value) &&
    !/^(host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|expect|proxy-.*)$/i.test(
      value,
    ),
);

/** Words that are never shown; `file:` and a path where they lie in a file. */
export const secret = z
  .string()
  .refine((value) => /^[\x20-\x7e]{1,8192}$/.test(value))
  .register(expectations, {
    expected: "a text without line ends, ${NAME} of the environment, or file: and a path",
    secret: true,
  });

/** A part of a whole, more than nothing. */
export function share(max: number) {
  return z
    .number()
    .gt(0)
    .max(max)
    .register(expectations, { expected: `a number above 0, at most ${max}` });
}

/** A number within bounds, both included. */
export function number(min: number, max: number) {
  return z
    .number()
    .min(min)
    .max(max)
    .register(expectations, { expected: `a number from ${min} to ${max}` });
}

/** A switch. */
export const yesNo = z.boolean().register(expectations, { expected: "true or false" });

const detectorIdPattern = /^det_[A-Za-z0-9]{27}$/;

/** The id of a Groundlight detector. */
export const detectorId = text(
  "det_ and 27 letters and digits",
  (value) => detectorIdPattern.test(value),
  detectorIdPattern,
);

/** What a policy is called. */
export const policyName = text("a name of at most 100 characters", (value) =>
  /^[^\s\p{C}][^\p{C}]{0,99}$/u.test(value),
);

/** A file or folder; relative to the folder of the configuration file. */
export const filePath = text("a path", (value) => value !== "" && !value.includes("\0"));

/** Where an index of models lies. */
export const indexAddress = text(
  "a path, or an address such as https://models.example/index.json",
  (value) => {
    if (value === "" || value.includes("\0")) return false;
    if (!/^[a-z][a-z0-9+.-]+:/i.test(value)) return true;
    const url = URL.parse(value);
    return (
      url !== null && /^(https?|file):$/.test(url.protocol) && url.username === "" && url.password === ""
    );
  },
);

/** What a key is called. */
export const keyId = text(
  "at most 64 letters, digits, dots, dashes and underscores that start with a letter or digit, and none of local, anonymous, unknown, other",
  isKeyId,
);

/** What is kept of a key's secret. */
export const secretDigest = text(
  "sha256: and 64 digits of hex, as `spillway keys create --print` writes it",
  (value) => secretPattern.test(value),
  secretPattern,
);

/** A moment in time: a day, which begins at midnight UTC, or a day and time with their zone. */
export const moment = text(
  "a day such as 2027-01-31, or a time with its zone such as 2027-01-31T18:00:00Z",
  isMoment,
  momentPattern,
);

/** A model's name, or the beginning of one. */
export const modelPattern = text(
  "a model's name, or the beginning of one and a *",
  (value) => value !== "" && value.length <= 256 && !value.slice(0, -1).includes("*"),
);

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(...words: Words) {
  const expected = words.length === 1 ? `the word ${words[0]}` : orList(words);
  return z.enum(words).register(expectations, { expected });
}

/** A word, or what `schema` takes. */
export function wordOr<const Word extends string, Schema extends z.ZodType>(
  word: Word,
  expected: string,
  schema: Schema,
) {
  const union = z.union([z.literal(word), schema]);
  expectations.add(union, { expected: `the word ${word}, or ${expected}` });
  return union;
}

/** `false`, or what `schema` takes. */
export function falseOr<Schema extends z.ZodType>(expected: string, schema: Schema) {
  const union = z.union([z.literal(false), schema]);
  expectations.add(union, { expected: `${expected}, or false` });
  return union;
}

/** `a, b or c`. */
function orList(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function isHostName(value: string): boolean {
  return (
    value.length <= 253 &&
    /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?$/.test(value)
  );
}
