/** How many tokens a prompt has. */
import { z } from "zod";
import { tokenCountKey, type TokenCount } from "../../contracts/plugins/data-keys.ts";
import type { Producer } from "../../contracts/plugins/scheduling.ts";
import { definePlugin } from "../define-plugin.ts";

/** `token-producer`: the dialects' estimate of four bytes a token, pictures apart. */
export const tokenProducer = definePlugin({
  type: "token-producer",
  kinds: ["producer"],
  summary: "Estimates the tokens of a prompt by its size",
  parameters: z.lazy(() =>
    z.strictObject({
      estimate: z
        .strictObject({})
        .optional()
        .describe("Four bytes a token, and a fixed number of tokens for a picture; the only way there is"),
    }),
  ),
  needs: { produces: [tokenCountKey], body: true },
  create(_parameters, host): Producer {
    const index = host.dataIndex(tokenCountKey);
    return {
      produce(request) {
        request.data[index] ??= { promptTokens: request.promptTokens } satisfies TokenCount;
      },
    };
  },
});
