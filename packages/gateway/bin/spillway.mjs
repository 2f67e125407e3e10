#!/usr/bin/env node
// @ts-check
// The command `spillway`: plain JavaScript for Node >= 20, goes on under the Node 24 that the package brings.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { handOver } from "./hand-over.mjs";

const NODE_MAJOR = 24;
const here = path.dirname(fileURLToPath(import.meta.url));
const source = path.join(here, "../src/cli/main.ts");
// A checkout has the sources, a published package only what is compiled from them.
const program = existsSync(source)
  ? ["--conditions=source", source]
  : [path.join(here, "../dist/cli/main.js")];

handOver(nodeBinary(), [...program, ...process.argv.slice(2)]);

/** Node 24 of the dependency `node`; this very Node where that is missing and this one is new enough. */
function nodeBinary() {
  const bundled = bundledNode();
  if (bundled !== undefined) return bundled;
  if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR) return process.execPath;
  process.stderr.write(
    `spillway needs Node ${NODE_MAJOR}; its dependency \`node\` brings it, but that package's install script did not run.\n` +
      `Allow it and install again, or run spillway with Node ${NODE_MAJOR} or later (this is ${process.versions.node}).\n`,
  );
  process.exit(1);
}

function bundledNode() {
  try {
    const binary = path.join(
      path.dirname(createRequire(import.meta.url).resolve("node/package.json")),
      "bin/node",
    );
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}
