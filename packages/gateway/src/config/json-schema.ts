/** `spillway.yaml` as a JSON Schema, for editors and for the reference page. */
import * as z from "zod";
import { configSchema } from "./schema.ts";
import { expectations } from "./values.ts";

/** A JSON Schema as far as zod writes it, with the words of `expectations` beside it. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode | readonly SchemaNode[];
  readonly propertyNames?: SchemaNode;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly anyOf?: readonly SchemaNode[];
  /** What the value should be, in words; also shown by editors when a pattern does not fit. */
  readonly patternErrorMessage?: string;
}

/** The schema of what people write: draft 7, which editors know. */
export function configJsonSchema(): SchemaNode {
  return z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-7",
    override: ({ zodSchema, jsonSchema }) => {
      const expected = expectations.get(zodSchema)?.expected;
      if (expected !== undefined) Object.assign(jsonSchema, { patternErrorMessage: `expected ${expected}` });
    },
  }) as SchemaNode;
}
