/** Schemas as they are looked into: without what only fills in or leaves out a value. */
import type * as z from "zod";
import type { $ZodType } from "zod/v4/core";

/** The schema inside defaults, optional, nullable and lazy ones. */
export function unwrapSchema(schema: $ZodType): z.core.$ZodTypes {
  const known = schema as z.core.$ZodTypes;
  const { def } = known._zod;
  switch (def.type) {
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
      return unwrapSchema(def.innerType);
    case "lazy":
      return unwrapSchema(def.getter());
    default:
      return known;
  }
}
