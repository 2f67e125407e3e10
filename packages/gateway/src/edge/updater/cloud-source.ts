/**
 * Models from the Groundlight cloud. Its own binaries run only in its closed inference server. A pipeline whose YAML is a
 * mapping with the key `spillway` says that the binary is a package of ours:
 * `spillway: { package: onnx, sha256: …, bytes: …, labels: { yes: […], unclear: […] } }`, all but `package` optional.
 */
import { parse } from "yaml";
import * as z from "zod";
import { isCloudFailure, type Cloud, type CloudModelInfo } from "../../contracts/cloud.ts";
import { labelsOf, labelsSchema, sha256Schema } from "./offer-fields.ts";
import type { ModelSource, ModelOffer, NoOffer } from "./model-source.ts";

const timeoutMs = 10_000;
const maxConfigCharacters = 64 * 1024;

const ourPipeline = z.object({
  spillway: z.strictObject({
    package: z.literal("onnx"),
    sha256: sha256Schema.optional(),
    bytes: z.int().positive().optional(),
    labels: labelsSchema.optional(),
  }),
});

/** Asks the cloud with the device's token, or the detector's own. */
export function createCloudSource(cloud: Cloud): ModelSource {
  return {
    async latest({ detector, token }, isBad) {
      if (detector.origin === "configuration")
        return { kind: "none", reason: "the cloud does not know this detector" };
      const info = await cloud.modelInfo(detector.id, { timeoutMs, token: token() });
      if (!isCloudFailure(info)) return offerOf(info, isBad);
      if (info.status === 404)
        return { kind: "none", reason: "the cloud has no model for edge devices of this detector" };
      return {
        kind: "failed",
        reason: `the cloud did not tell of the model: ${info.detail}`,
        retryAfterMs: info.retryAfterMs,
      };
    },
  };
}

function offerOf(info: CloudModelInfo, isBad: (contentId: string) => boolean): ModelOffer | NoOffer {
  const pipeline = readPipeline(info.pipelineConfig);
  if (pipeline === undefined) {
    const name = info.pipelineConfig.trim().split("\n", 1)[0]?.slice(0, 100) ?? "";
    return {
      kind: "unsupported",
      reason: `its pipeline (${name}) runs only in Groundlight's inference server; name that server for the detector, or offer an ONNX package`,
    };
  }
  if ("problem" in pipeline) return { kind: "unsupported", reason: pipeline.problem };
  const { binary } = info;
  if (binary === undefined)
    return { kind: "unsupported", reason: "its pipeline names a package, but there is no binary" };
  const contentId = binary.id.slice(0, 200);
  if (isBad(contentId)) return { kind: "none", reason: `the version ${contentId} was found to be bad` };
  const { sha256, bytes, labels } = pipeline.spillway;
  const fields = { sha256, bytes, labels: labelsOf(labels) };
  return { kind: "offer", source: "cloud", version: contentId, contentId, url: binary.url, ...fields };
}

type Pipeline = z.infer<typeof ourPipeline>;

/** Undefined: not one of ours. */
function readPipeline(text: string): Pipeline | { readonly problem: string } | undefined {
  if (text.length > maxConfigCharacters) return undefined;
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 10, logLevel: "silent" });
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("spillway" in value)) return undefined;
  const read = ourPipeline.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  return {
    problem: `its pipeline's ${issue?.path.join(".") ?? "spillway"} cannot be read: ${issue?.message}`,
  };
}
