/** Fields that every source says of a package. */
import * as z from "zod";
import type { LabelMapping } from "../../contracts/local-inference.ts";

/** SHA-256 in hex; gives it in lower case. */
export const sha256Schema = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, "expected 64 hex digits")
  .transform((text) => text.toLowerCase());

const labelList = z.array(z.string().max(1_000)).max(1_000);

/** How a model's classes become answers. */
export const labelsSchema = z.strictObject({ yes: labelList.optional(), unclear: labelList.optional() });

/** As the rest of the edge endpoint has it. */
export function labelsOf(labels: z.infer<typeof labelsSchema> | undefined): LabelMapping {
  return {
    ...(labels?.yes !== undefined && { yes: labels.yes }),
    ...(labels?.unclear !== undefined && { unclear: labels.unclear }),
  };
}
