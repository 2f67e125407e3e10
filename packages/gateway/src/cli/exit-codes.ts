/** What `spillway` ends with. */

/** Exit codes and their meaning; `--help` and the reference page print them. */
export const exitCodes = {
  ok: { code: 0, meaning: "it worked; `serve`, `picker` and `worker`: stopped as asked, after draining" },
  failure: { code: 1, meaning: "it did not work; the reason is on standard error" },
  usage: { code: 2, meaning: "the command line is wrong" },
  interrupted: {
    code: 130,
    meaning: "`serve` and `picker`: a second Ctrl-C ended it before all was drained",
  },
} as const;
