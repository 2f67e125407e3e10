/** Runs the profile that a header names. */
import { z } from "zod";
import type { ProfileHandler, ProfileResult } from "../../contracts/plugins/scheduling.ts";
import { GatewayError } from "../../core/errors.ts";
import { headerValue } from "../../core/headers.ts";
import { definePlugin } from "../define-plugin.ts";

const none: readonly string[] = [];

/** `header-profile-handler`. A name that no profile has is the caller's mistake. */
export const headerProfileHandler = definePlugin({
  type: "header-profile-handler",
  kinds: ["profile-handler"],
  summary: "Runs the profile that a header of the request names",
  parameters: z.lazy(() =>
    z.strictObject({
      headerName: z.string().min(1).default("EPP-Profile").describe("Name of the header"),
      defaultProfile: z
        .string()
        .min(1)
        .default("decode")
        .describe("Profile of requests that do not have the header"),
    }),
  ),
  create({ headerName, defaultProfile }, { name }): ProfileHandler {
    const header = headerName.toLowerCase();
    return {
      next: ({ headers }, _profiles, results) =>
        results.size === 0 ? [headerValue(headers, header) ?? defaultProfile] : none,
      primary: (results: ReadonlyMap<string, ProfileResult>) => results.keys().next().value ?? "",
      check(profiles) {
        if (profiles.includes(defaultProfile)) return;
        const text = `Plugin ${name}: parameter defaultProfile: there is no profile ${defaultProfile}, but ${profiles.join(", ")}`;
        throw new GatewayError("bad_request", text);
      },
    };
  },
});
