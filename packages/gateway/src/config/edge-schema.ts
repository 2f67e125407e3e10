/** `edge` of `spillway.yaml`: detectors that are answered here, and the cloud that is asked when they are unsure. */
import * as z from "zod";
import { detectorModes } from "../core/detector.ts";
import {
  choice,
  duration,
  expectations,
  filePath,
  indexAddress,
  name,
  policyName,
  detectorId,
  number,
  secret,
  serverOrigin,
  size,
  whole,
  yesNo,
} from "./values.ts";

const cloudSchema = z.strictObject({
  origin: serverOrigin
    .default("https://api.groundlight.ai")
    .describe("Address of the Groundlight cloud, without `/device-api`"),
  token: secret
    .optional()
    .describe(
      "The device's API token: text, `${NAME}`, or `file:` and a path. Absent: callers' own tokens are used, and what waits for the cloud goes with the next one",
    ),
  ca: filePath.optional().describe("PEM file of the certificate authority. Default: those that Node trusts"),
  connectTimeout: duration("1ms", "5m").default("2s").describe("To make a connection, TLS included"),
  timeout: duration("1ms", "5m")
    .default("8s")
    .describe("For an answer that a caller waits for; below the 10 s after which the SDK gives up"),
});

const policySchema = z.strictObject({
  enabled: yesNo
    .default(true)
    .describe("`false`: the local model is not asked; every query goes to the cloud"),
  alwaysReturnEdgePrediction: yesNo
    .default(false)
    .describe("The local answer is given however unsure it is; unsure ones are sent to the cloud behind it"),
  disableCloudEscalation: yesNo
    .default(false)
    .describe("Nothing goes to the cloud. Only with `alwaysReturnEdgePrediction`"),
  minTimeBetweenEscalations: duration("1ms", "24h")
    .default("2s")
    .describe("Pause between unsure answers that are sent behind an answer"),
  apiToken: secret
    .optional()
    .describe("Token for the cloud calls of these detectors in place of the device's"),
});

const labelsSchema = z.array(z.string().max(200)).min(1).max(1_000);

const modelSchema = z.strictObject({
  name: name.describe("Name in the model folder or of a pool's model"),
  version: z.string().max(128).optional().describe("Default: the newest that is ready"),
  outOfDomain: name
    .optional()
    .describe("Model that tells pictures unlike all that the first one knows; its class 1 means so"),
  yes: labelsSchema
    .optional()
    .describe("BINARY: labels of the model that mean YES; all others mean NO. Default: its first class"),
  unclear: labelsSchema.optional().describe("Labels of the model that mean UNCLEAR"),
});

const serverModelSchema = z.strictObject({
  server: serverOrigin.describe("Address of Groundlight's inference server for the detector"),
  outOfDomainServer: serverOrigin
    .optional()
    .describe("Address of the one that tells pictures unlike all that the first one's model knows"),
});

const modelUnion = z.union([name, modelSchema, serverModelSchema]);
expectations.add(modelUnion, {
  expected: "a model's name, or a mapping with its name, or one with the address of an inference server",
});

const calibrationSchema = z.strictObject({
  mode: choice("off", "suggest", "automatic")
    .default("suggest")
    .describe("`suggest`: fitted to the cloud's answers and shown, not used. `automatic`: used"),
  agreement: number(0.5, 1)
    .default(0.95)
    .describe("Share of answers given here that the cloud should agree with"),
});

/** What can be said of one detector and of all that are not named. */
const behaviour = {
  policy: policyName
    .optional()
    .describe(
      "Which of `policies` holds: `default`, `edge_answers_with_escalation`, `no_cloud`, `disabled`, or one of yours",
    ),
  localTimeout: duration("1ms", "10m")
    .optional()
    .describe("How long the local model may take before the cloud is asked"),
  auditRate: number(0, 1)
    .optional()
    .describe("Share of sure answers that the cloud checks. Default: `edge.auditRate`"),
  escalationsPerMonth: whole(0, 1_000_000_000)
    .optional()
    .describe("Escalations and audits in a calendar month (UTC). Absent: no bound but that of all detectors"),
  calibration: calibrationSchema
    .optional()
    .describe("How confidence is brought in line with what the cloud says"),
};

const detectorSchema = z.strictObject({
  id: detectorId.describe("As the cloud has it, or one of your own: `det_` and 27 letters and digits"),
  ...behaviour,
  query: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe("The question. Absent: it and what follows are learnt from the cloud"),
  name: z.string().min(1).max(200).optional().describe("Default: the question"),
  mode: choice(...detectorModes)
    .optional()
    .describe("What is answered. Default BINARY"),
  classNames: labelsSchema
    .optional()
    .describe("MULTI_CLASS: the answers, in the order of the model's classes"),
  className: z.string().min(1).max(200).optional().describe("COUNT and BOUNDING_BOX: what is looked for"),
  maxCount: whole(1, 50).optional().describe("COUNT: more is answered as this and `greater_than_max`"),
  maxNumBboxes: whole(1, 50).optional().describe("BOUNDING_BOX: most boxes"),
  valueMaxLength: whole(1, 250).optional().describe("TEXT: most characters"),
  confidenceThreshold: number(0, 1).optional().describe("Below it an answer counts as unsure. Default 0.9"),
  patienceTime: number(0, 3_600).optional().describe("Seconds that callers are told to wait. Default 30"),
  model: modelUnion
    .optional()
    .describe("What answers here. Absent: a model that the index or the cloud offers, if any"),
});

const ringSchema = z.strictObject({
  size: size("1MiB", "1024GiB").default("200MB").describe("Bytes on disk; the oldest go first"),
  perSecond: size("1KiB", "1GiB").default("1MB").describe("Bytes that are written a second at most"),
});

const modelsSchema = z.strictObject({
  index: indexAddress
    .optional()
    .describe(
      "Index of model packages: an `http`, `https` or `file` address, or a path. Absent: only the cloud offers models",
    ),
  ca: filePath
    .optional()
    .describe(
      "PEM file of the certificate authority for the index and for packages. Default: those that Node trusts",
    ),
  packageSize: size("1KiB", "64GiB").default("512MiB").describe("Largest package, and what is in it"),
  diskSize: size("1MiB", "1024GiB")
    .default("4GiB")
    .describe("Fetched models on disk; beyond it versions that only a rollback would need go first"),
});

/** The schema of the key `edge`. */
export const edgeSchema = z.strictObject({
  cloud: cloudSchema
    .optional()
    .describe("The Groundlight cloud. Absent: everything is answered here or refused"),
  detectors: z
    .array(detectorSchema)
    .max(10_000)
    .optional()
    .describe("Detectors. Default: the two over the model `digits` where that is served"),
  policies: z
    .record(policyName, policySchema)
    .default({})
    .describe("How local answers and the cloud's are put together, by a name of your choice"),
  defaults: z
    .strictObject(behaviour)
    .prefault({})
    .describe("For every detector that does not say itself, those that are not listed included"),
  rejectUnknownDetectors: yesNo
    .default(false)
    .describe("Queries for detectors that are not listed are refused instead of learnt from the cloud"),
  models: modelsSchema.prefault({}).describe("Models that are fetched for detectors that name none"),
  refresh: duration("1s", "24h")
    .default("60s")
    .describe("How often the cloud and the index are asked for newer models"),
  auditRate: number(0, 1).default(0.00001).describe("Share of sure answers that the cloud checks"),
  escalationsPerMonth: whole(0, 1_000_000_000)
    .optional()
    .describe("Escalations and audits in a calendar month (UTC) over all detectors. Absent: no bound"),
  outbox: size("1MiB", "1024GiB").default("2GB").describe("Bytes of escalations that may wait for the cloud"),
  ring: ringSchema.prefault({}).describe("Recent pictures that were neither escalated nor audited"),
});
