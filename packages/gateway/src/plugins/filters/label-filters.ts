/** Filters by what labels endpoints have. */
import { z } from "zod";
import type { Filter, SchedulableEndpoint } from "../../contracts/plugins/scheduling.ts";
import { roleLabel } from "../../core/serving-stages.ts";
import { definePlugin } from "../define-plugin.ts";
import { keepWhere } from "../keep-where.ts";
import { labelSelector, selects, valueOf } from "../label-selector.ts";

function filterBy(passes: (endpoint: SchedulableEndpoint) => boolean): Filter {
  return { filter: (candidates) => keepWhere(candidates, passes) };
}

/** `label-selector-filter`. */
export const labelSelectorFilter = definePlugin({
  type: "label-selector-filter",
  kinds: ["filter"],
  summary: "Leaves the endpoints whose labels a Kubernetes label selector selects",
  parameters: labelSelector,
  aliases: ["by-label-selector"],
  create: (selector): Filter => filterBy(({ labels }) => selects(selector, labels)),
});

/** `by-label`, of older configurations. */
export const byLabelFilter = definePlugin({
  type: "by-label",
  kinds: ["filter"],
  summary: "Leaves the endpoints whose label has one of some values; `label-selector-filter` says more",
  parameters: z.lazy(() =>
    z
      .strictObject({
        label: z.string().min(1).describe("Name of the label"),
        validValues: z.array(z.string()).default([]).describe("Values that pass"),
        allowsNoLabel: z.boolean().default(false).describe("Whether endpoints without the label pass"),
      })
      .refine(({ validValues, allowsNoLabel }) => allowsNoLabel || validValues.length > 0, {
        message: "is empty, so that nothing would pass",
        path: ["validValues"],
      }),
  ),
  create({ label, validValues, allowsNoLabel }): Filter {
    return filterBy(({ labels }) => {
      const value = valueOf(labels, label);
      return value === undefined ? allowsNoLabel : validValues.includes(value);
    });
  },
});

function roleFilter(role: "prefill" | "decode" | "encode", roles: readonly string[], allowsNoLabel: boolean) {
  return definePlugin({
    type: `${role}-filter`,
    kinds: ["filter"],
    summary: `Leaves the endpoints whose label \`${roleLabel}\` is ${roles.join(", ")}${allowsNoLabel ? ", or missing" : ""}`,
    parameters: z.strictObject({}),
    create: (): Filter =>
      filterBy(({ labels }) => {
        const value = valueOf(labels, roleLabel);
        return value === undefined ? allowsNoLabel : roles.includes(value);
      }),
  });
}

/** `prefill-filter`. */
export const prefillFilter = roleFilter(
  "prefill",
  ["prefill", "prefill-decode", "encode-prefill", "encode-prefill-decode", "both"],
  false,
);

/** `decode-filter`. */
export const decodeFilter = roleFilter(
  "decode",
  ["decode", "prefill-decode", "encode-prefill-decode", "both"],
  true,
);

/** `encode-filter`. */
export const encodeFilter = roleFilter(
  "encode",
  ["encode", "encode-prefill", "encode-prefill-decode"],
  false,
);
