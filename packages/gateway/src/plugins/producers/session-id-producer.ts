/** Which session a request belongs to. */
import { z } from "zod";
import { sessionIdKey } from "../../contracts/plugins/data-keys.ts";
import type { Producer, ScheduledRequest } from "../../contracts/plugins/scheduling.ts";
import { headerValue } from "../../core/headers.ts";
import { definePlugin } from "../define-plugin.ts";

/** Header of sessions where none is configured. */
const usualHeader = "x-session-id";

/** Longest name of a session; what is longer is none. */
const longestId = 1_024;

function cookieOf(text: string | undefined, name: string): string | undefined {
  for (const part of text?.split(";") ?? []) {
    const equals = part.indexOf("=");
    if (equals > 0 && part.slice(0, equals).trim() === name) return part.slice(equals + 1).trim();
  }
  return undefined;
}

/** `session-id-producer`. */
export const sessionIdProducer = definePlugin({
  type: "session-id-producer",
  kinds: ["producer"],
  summary: "Reads the session that a request belongs to from a header or a cookie",
  parameters: z.lazy(() =>
    z
      .strictObject({
        headerName: z.string().min(1).optional().describe(`Name of the header; default \`${usualHeader}\``),
        cookieName: z.string().min(1).optional().describe("Name of the cookie, instead of a header"),
      })
      .refine(({ headerName, cookieName }) => headerName === undefined || cookieName === undefined, {
        message: "cannot stand beside headerName",
        path: ["cookieName"],
      }),
  ),
  needs: { produces: [sessionIdKey] },
  create({ headerName, cookieName }, host): Producer {
    const index = host.dataIndex(sessionIdKey);
    const header = (headerName ?? usualHeader).toLowerCase();
    const read = ({ headers, traits }: ScheduledRequest): string | undefined => {
      if (cookieName !== undefined) return cookieOf(headerValue(headers, "cookie"), cookieName);
      const told = headerValue(headers, header);
      return headerName === undefined ? (traits.sessionId ?? told) : told;
    };
    return {
      produce(request) {
        const id = read(request);
        request.data[index] = id !== undefined && id !== "" && id.length <= longestId ? id : undefined;
      },
    };
  },
});
