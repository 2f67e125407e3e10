/** Label selectors as Kubernetes has them (kubernetes.io/docs/concepts/overview/working-with-objects/labels). */
import { z } from "zod";

type Labels = Readonly<Record<string, string>>;

const expression = z
  .strictObject({
    key: z.string().min(1),
    operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
    values: z.array(z.string()).default([]),
  })
  .refine(({ operator, values }) => operator.endsWith("In") === values.length > 0, {
    message: "In and NotIn need values, Exists and DoesNotExist have none",
    path: ["values"],
  });

/** A selector: all that is said has to hold; nothing said selects everything. */
export const labelSelector = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).default({}),
  matchExpressions: z.array(expression).default([]),
});

/** A checked selector. */
export type LabelSelector = z.infer<typeof labelSelector>;

/** Whether the labels are what the selector asks for. As in Kubernetes, `NotIn` holds where the label is missing. */
export function selects({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  for (const key in matchLabels) if (valueOf(labels, key) !== matchLabels[key]) return false;
  return matchExpressions.every(({ key, operator, values }) => {
    const value = valueOf(labels, key);
    if (operator === "Exists") return value !== undefined;
    if (operator === "DoesNotExist") return value === undefined;
    return (value !== undefined && values.includes(value)) === (operator === "In");
  });
}

/** The label's value; undefined without it. */
export function valueOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
