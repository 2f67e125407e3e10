/** Reads the body of `POST /predict`: JSON, or an encoded picture as it is. */
import { failure, isFailure, type Failure } from "../../core/errors.ts";
import { parseJson } from "../json/parse-json.ts";
import type { JsonLimits } from "../json/scan-json.ts";
import { quoted, shown } from "../tensors/describe.ts";
import { decodeBase64 } from "../tensors/pack-values.ts";
import { pictureType, pictureTypes } from "../tensors/picture.ts";
import type { PlainInput } from "../tensors/plain-inputs.ts";

/** A prediction request after reading. Holds plain values and bytes only, so that a thread can hand it over. */
export interface PredictBody {
  readonly input: PlainInput;
  /** Undefined: the configured default. */
  readonly model: string | undefined;
  /** Undefined: the repository's choice. */
  readonly version: string | undefined;
}

/** Reads a JSON body. */
export function readPredictBody(
  { body }: { readonly body: Uint8Array },
  limits: JsonLimits,
): PredictBody | Failure {
  const parsed = parseJson(body, limits);
  if (isFailure(parsed)) return parsed;
  const { value } = parsed;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return bad(`Expected a JSON object with "features", "prompt" or "image", got ${shown(value)}`);
  return readMembers(value as Readonly<Record<string, unknown>>);
}

function bad(text: string): Failure {
  return failure("bad_request", text);
}

const inputNames = ["features", "prompt", "image"] as const;
const knownNames: ReadonlySet<string> = new Set([...inputNames, "model_name", "model_version"]);

function readMembers(members: Readonly<Record<string, unknown>>): PredictBody | Failure {
  for (const name in members)
    if (!knownNames.has(name))
      return bad(`Unknown member ${quoted(name)}; known are ${[...knownNames].join(", ")}`);
  const model = optionalText(members.model_name);
  if (isWrong(model)) return bad(`"model_name": expected a string, got ${shown(members.model_name)}`);
  const version = optionalText(
    typeof members.model_version === "number" ? String(members.model_version) : members.model_version,
  );
  if (isWrong(version)) return bad(`"model_version": expected a string, got ${shown(members.model_version)}`);
  const given = inputNames.filter((name) => members[name] !== undefined && members[name] !== null);
  const kind = given[0];
  if (kind === undefined || given.length > 1)
    return bad(
      `Expected exactly one of "features", "prompt" and "image", got ${given.join(" and ") || "none"}`,
    );
  const input = readInput(kind, members[kind]);
  return isFailure(input) ? input : { input, model, version };
}

/** A text, or undefined where there is none; an object where there is something else. */
function optionalText(value: unknown): string | undefined | typeof wrong {
  if (value === undefined || value === null || value === "") return undefined;
  return typeof value === "string" ? value : wrong;
}

const wrong = { wrong: true } as const;

function isWrong(value: string | undefined | typeof wrong): value is typeof wrong {
  return value === wrong;
}

function readInput(kind: (typeof inputNames)[number], value: unknown): PlainInput | Failure {
  if (kind === "features") return readFeatures(value);
  if (typeof value !== "string")
    return bad(
      `"${kind}": expected ${kind === "prompt" ? "a string" : "a base64 string"}, got ${shown(value)}`,
    );
  if (kind === "prompt")
    return value === "" ? bad('"prompt": expected a text, got an empty one') : { kind, text: value };
  const bytes = decodeBase64(value.replace(/^data:[^,]{0,100};base64,/, ""));
  if (bytes === undefined) return failure("invalid_image", '"image": expected a picture in base64');
  return readPicture(bytes);
}

function readFeatures(value: unknown): PlainInput | Failure {
  if (!Array.isArray(value) || value.length === 0)
    return bad(`"features": expected a flat list of numbers, got ${shown(value)}`);
  const values = new Float64Array(value.length);
  for (let i = 0; i < values.length; i++) {
    const given: unknown = value[i];
    if (typeof given !== "number" || !Number.isFinite(given))
      return bad(`"features": expected a number at place ${i}, got ${shown(given)}`);
    values[i] = given;
  }
  return { kind: "features", values };
}

/** A picture, recognised by its first bytes. */
export function readPicture(bytes: Uint8Array): PlainInput | Failure {
  if (pictureType(bytes) !== undefined) return { kind: "image", bytes };
  return failure(
    "invalid_image",
    `Expected a picture of type ${pictureTypes.join(", ")}; the first bytes are of none of them`,
  );
}
