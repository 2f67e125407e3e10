/** Runs the one profile there is. */
import { z } from "zod";
import type { ProfileHandler, ProfileResult } from "../../contracts/plugins/scheduling.ts";
import { GatewayError } from "../../core/errors.ts";
import { definePlugin } from "../define-plugin.ts";

const none: readonly string[] = [];

/** `single-profile-handler`. */
export const singleProfileHandler = definePlugin({
  type: "single-profile-handler",
  kinds: ["profile-handler"],
  summary: "Runs the only profile",
  parameters: z.strictObject({}),
  create(_parameters, { name }): ProfileHandler {
    return {
      next: (_request, profiles, results) => (results.size === 0 ? profiles : none),
      primary: (results: ReadonlyMap<string, ProfileResult>) => results.keys().next().value ?? "",
      check(profiles) {
        if (profiles.length === 1) return;
        const text = `Plugin ${name} (single-profile-handler) works with one profile, and there are ${profiles.length}: ${profiles.join(", ")}`;
        throw new GatewayError("bad_request", text);
      },
    };
  },
});
