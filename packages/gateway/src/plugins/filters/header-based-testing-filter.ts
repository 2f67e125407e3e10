/** Lets a test say which endpoints a request may go to. */
import { z } from "zod";
import type { Filter } from "../../contracts/plugins/scheduling.ts";
import { headerValue } from "../../core/headers.ts";
import { definePlugin } from "../define-plugin.ts";
import { keepWhere } from "../keep-where.ts";

/** Addresses, with or without port, with commas between them. */
const header = "test-epp-endpoint-selection";

/** `header-based-testing-filter`. */
export const headerBasedTestingFilter = definePlugin({
  type: "header-based-testing-filter",
  kinds: ["filter"],
  summary: `For tests: leaves the endpoints whose addresses the header \`${header}\` names, with or without port; all where there is no such header`,
  parameters: z.strictObject({}),
  create(): Filter {
    return {
      filter(candidates, { headers }) {
        const value = headerValue(headers, header);
        if (value === undefined || value.trim() === "") return;
        const wanted = new Set(value.split(",").map((text) => text.trim()));
        keepWhere(candidates, ({ address }) => wanted.has(address) || wanted.has(hostOf(address)));
      },
    };
  },
});

function hostOf(address: string): string {
  const colon = address.lastIndexOf(":");
  return colon < 0 ? address : address.slice(0, colon);
}
