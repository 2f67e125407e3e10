/**
 * The shape of an `EndpointPickerConfig`, as the Gateway API Inference Extension and the llm-d router define it
 * (group `llm-d.ai`, version `v1alpha1`). Unknown keys are errors there and here.
 */
import * as z from "zod";
import { parseGoDuration } from "../../core/go-duration.ts";
import { choice, expectations, number, yesNo } from "../values.ts";
import { parseQuantity } from "./quantities.ts";

const text = (expected: string) => z.string().min(1).register(expectations, { expected });

/** A value that may be left empty: `flowControl:` with nothing behind it. */
const orEmpty = <Schema extends z.ZodType>(schema: Schema) => schema.nullish();

const list = <Schema extends z.ZodType>(of: Schema, max: number) => orEmpty(z.array(of).max(max));

const pluginRef = text("the name of an entry of plugins");

const quantity = z
  .union([z.string(), z.number()])
  .refine((value) => parseQuantity(value) !== undefined)
  .register(expectations, { expected: "a quantity of Kubernetes such as 10Gi, 500M, 1k or 5000" });

const duration = z
  .string()
  .refine((value) => (parseGoDuration(value) ?? -1) >= 0)
  .register(expectations, { expected: "a duration of Go such as 200ms, 60s or 1m30s" });

const reference = z.strictObject({ pluginRef });

const pluginSchema = z.strictObject({
  name: text("a name").optional(),
  type: text("the type of a plugin"),
  parameters: orEmpty(z.record(z.string(), z.unknown())),
});

const profileSchema = z.strictObject({
  name: text("the profile's name"),
  plugins: list(z.strictObject({ pluginRef, weight: number(-1e9, 1e9).nullish() }), 100),
});

const priority = z
  .int()
  .register(expectations, { expected: "a whole number; below 0 is what may be dropped first" });

const bandShape = {
  maxBytes: quantity.nullish(),
  maxRequests: quantity.nullish(),
  fairnessPolicyRef: z
    .string()
    .register(expectations, { expected: "the name of a fairness policy" })
    .optional(),
  orderingPolicyRef: z
    .string()
    .register(expectations, { expected: "the name of an ordering policy" })
    .optional(),
};

const saturationDetector = z.strictObject({ pluginRef: pluginRef.optional() });

const flowControlSchema = z.strictObject({
  maxBytes: quantity.nullish(),
  maxRequests: quantity.nullish(),
  defaultRequestTTL: duration.nullish(),
  noEndpointRequestTTL: duration.nullish(),
  defaultPriorityBand: orEmpty(z.strictObject({ priority: priority.optional(), ...bandShape })),
  defaultNegativePriorityBand: orEmpty(z.strictObject({ priority: priority.optional(), ...bandShape })),
  priorityBands: list(z.strictObject({ priority, ...bandShape }), 100),
  usageLimitPolicyPluginRef: z
    .string()
    .register(expectations, { expected: "the name of a usage limit policy" })
    .optional(),
  saturationDetector: orEmpty(saturationDetector),
  enableEviction: yesNo.optional(),
});

const dataLayerSchema = z.strictObject({
  injectDefaults: yesNo.nullish(),
  sources: list(z.strictObject({ pluginRef, extractors: list(reference, 20) }), 20),
  discovery: orEmpty(reference),
  peerDiscovery: orEmpty(reference),
  crossReplicaSyncerPluginRef: z.string().register(expectations, { expected: "a plugin's name" }).optional(),
  crossReplicaSyncInterval: duration.nullish(),
});

/** Groups and versions that name the same thing; the first is today's. */
export const apiVersions = [
  "llm-d.ai/v1alpha1",
  "inference.networking.x-k8s.io/v1alpha1",
  "config.x-k8s.io/v1alpha1",
] as const;

/** The schema of a whole file. */
export const endpointPickerSchema = z.strictObject({
  apiVersion: choice(...apiVersions),
  kind: choice("EndpointPickerConfig"),
  featureGates: list(text("the name of a feature, with =true or =false behind it or not"), 50),
  plugins: list(pluginSchema, 500),
  schedulingProfiles: list(profileSchema, 50),
  dataLayer: orEmpty(dataLayerSchema),
  flowControl: orEmpty(flowControlSchema),
  requestHandler: orEmpty(z.strictObject({ parsers: list(reference, 20) })),
  saturationDetector: orEmpty(saturationDetector),
  parser: orEmpty(z.strictObject({ pluginRef })),
});

/** A file as it was written. */
export type EndpointPickerFile = z.output<typeof endpointPickerSchema>;

/** What it says of one priority. */
export type BandFile = Omit<
  NonNullable<NonNullable<EndpointPickerFile["flowControl"]>["defaultPriorityBand"]>,
  "priority"
>;
