/** Reads the options of a cloud from JSON. */
import { isFields } from "../faces/fields.ts";
import type { CloudOptions } from "./cloud-options.ts";
import { detectorModes } from "./cloud-options.ts";

type Check = (value: unknown, place: string) => void;

/** Checks what was parsed from JSON. Throws a `TypeError` that names the field. `bytes` and `truth` cannot be written. */
export function parseCloudOptions(value: unknown): CloudOptions {
  options(value, "the cloud");
  return value as CloudOptions;
}

const wrong = (place: string, expected: string): never => {
  throw new TypeError(`${place} must be ${expected}`);
};

const aText: Check = (value, place) =>
  void ((typeof value === "string" && value !== "") || wrong(place, "a text"));
const aSwitch: Check = (value, place) => void (typeof value === "boolean" || wrong(place, "true or false"));
const anObject: Check = (value, place) => void (isFields(value) || wrong(place, "an object"));

function aNumber(most = Infinity): Check {
  const expected = most === Infinity ? "a number from 0" : `a number from 0 to ${most}`;
  return (value, place) =>
    void ((typeof value === "number" && value >= 0 && value <= most) || wrong(place, expected));
}

function object(checks: Readonly<Record<string, Check>>, needed: readonly string[] = []): Check {
  return (value, place) => {
    if (!isFields(value)) return wrong(place, "an object");
    for (const name of needed) if (value[name] === undefined) wrong(`${place}.${name}`, "given");
    for (const [name, each] of Object.entries(value)) {
      const check = checks[name];
      if (check === undefined)
        throw new TypeError(`${place} has no field ${name}; there are ${Object.keys(checks).join(", ")}`);
      check(each, `${place}.${name}`);
    }
  };
}

function list(check: Check): Check {
  return (value, place) => {
    if (!Array.isArray(value)) return wrong(place, "a list");
    for (const [at, each] of value.entries()) check(each, `${place}[${at}]`);
  };
}

/** A text is a short form. */
function orText(check: Check): Check {
  return (value, place) => (typeof value === "string" ? aText(value, place) : check(value, place));
}

const aLabel: Check = (value, place) =>
  void (typeof value === "string" || typeof value === "number" || wrong(place, "a text or a number"));

const anAnswer = object(
  { label: aLabel, machineLabel: aLabel, confidence: aNumber(1), rois: list(anObject) },
  ["label"],
);

const labels: Check = (value, place) => {
  if (!isFields(value)) return wrong(place, "an object of answers by the SHA-256 of pictures");
  for (const [sha256, each] of Object.entries(value)) {
    if (!/^[0-9a-f]{64}$/.test(sha256)) wrong(`${place}: ${sha256}`, "a SHA-256 in lower-case hex");
    if (isFields(each)) anAnswer(each, `${place}.${sha256}`);
    else aLabel(each, `${place}.${sha256}`);
  }
};

const binary = { id: aText, file: aText, pipelineConfig: aText };
const aModel = object({ ...binary, oodd: object(binary), minimalCompatible: aSwitch });

const aDetector = object(
  {
    id: (value, place) =>
      void (/^det_[A-Za-z0-9]{27}$/.test(String(value)) || wrong(place, "det_ and 27 letters or digits")),
    name: aText,
    query: aText,
    mode: (value, place) =>
      void (
        detectorModes.some((each) => each === value) || wrong(place, `one of ${detectorModes.join(", ")}`)
      ),
    modeConfiguration: anObject,
    confidenceThreshold: aNumber(1),
    patienceTime: aNumber(3600),
    account: aText,
    groupName: aText,
    metadata: anObject,
    model: aModel,
  },
  ["name"],
);

const aToken = object(
  { token: aText, name: aText, account: aText, email: aText, isSuperuser: aSwitch, ttlSeconds: aNumber() },
  ["token"],
);

const options = object({
  detectors: list(orText(aDetector)),
  tokens: list(orText(aToken)),
  labels,
  answerAfterMs: aNumber(),
  reviewAfterMs: aNumber(),
  latencyMs: aNumber(),
  throttle: object({ requests: aNumber(), perMs: aNumber() }, ["requests", "perMs"]),
  limits: object({ iqs: aNumber(), escalations: aNumber(), activeDetectors: aNumber() }),
  maxQueries: aNumber(),
  maxPictureBytes: aNumber(),
  modelUrlTtlMs: aNumber(),
});
