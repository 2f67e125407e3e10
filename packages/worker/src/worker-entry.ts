/** How to start a worker process. */

/** File URL of the program to run with `--supervised`; TypeScript in a checkout, JavaScript in a package. */
export const workerEntry: URL = new URL(
  import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js",
  import.meta.url,
);
