// @ts-check
// The way into the repository's TypeScript from any Node >= 20: installs what is missing, then goes on under
// the Node 24 of the lockfile. Plain JavaScript for Node 20.
import path from "node:path";
import { fileURLToPath } from "node:url";
import { handOver } from "../../packages/gateway/bin/hand-over.mjs";
import { InstallError, ensureInstalled, nodeBinary } from "./install.mjs";

const MIN_NODE_MAJOR = 20;

/** The repository's folder. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/**
 * Runs a TypeScript program of the repository under Node 24, workspace packages read from their sources, in
 * place of this process.
 *
 * @param {string} program absolute, or relative to the current folder
 * @param {readonly string[]} args
 * @returns {Promise<void>}
 */
export async function enter(program, args) {
  if (Number.parseInt(process.versions.node, 10) < MIN_NODE_MAJOR) {
    fail(
      `Node ${process.versions.node} is too old: Node ${MIN_NODE_MAJOR} or later starts Spillway, which brings its own Node 24.`,
    );
  }
  try {
    await ensureInstalled(root);
  } catch (error) {
    if (error instanceof InstallError) fail(error.message);
    throw error;
  }
  handOver(nodeBinary(root), ["--conditions=source", program, ...args]);
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
