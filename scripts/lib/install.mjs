// @ts-check
// Installs package-lock.json when node_modules is not what it says. Plain JavaScript for Node 20.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { showProgress } from "./progress.mjs";

const MIN_NPM_MAJOR = 10;
const LOCK_POLL_MS = 200;
const LOCK_MAX_AGE_MS = 15 * 60_000;
const NETWORK_FAILURE =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|FETCH_ERROR|CERT_[A-Z_]+|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+)\b/;

/** A failure whose message is all the user needs: printed without a stack. */
export class InstallError extends Error {}

/**
 * The Node 24 that the lockfile installs.
 *
 * @param {string} root the repository's folder
 */
export function nodeBinary(root) {
  return path.join(root, "node_modules", "node", "bin", "node");
}

/**
 * Why an installation is needed, or undefined when node_modules holds what package-lock.json says.
 *
 * npm writes `node_modules/.package-lock.json` as the last act of an installation, so an interrupted one is
 * recognised by its absence, and an older one by its versions.
 *
 * @param {string} root the repository's folder
 * @returns {string | undefined}
 */
export function whyInstall(root) {
  const installed = readPackages(path.join(root, "node_modules", ".package-lock.json"));
  if (installed === undefined)
    return existsSync(path.join(root, "node_modules")) ? "unfinished" : "first start";
  const wanted = readPackages(path.join(root, "package-lock.json")) ?? {};
  for (const [folder, entry] of Object.entries(wanted)) {
    if (!folder.startsWith("node_modules/") || entry.optional || entry.devOptional) continue;
    const found = installed[folder];
    if (found?.version !== entry.version || found?.integrity !== entry.integrity)
      return "package-lock.json changed";
    if (!existsSync(path.join(root, folder, "package.json"))) return `${folder} is missing`;
  }
  return existsSync(nodeBinary(root)) ? undefined : "Node 24 is missing";
}

/**
 * Brings node_modules to what package-lock.json says, with progress on stderr; returns at once if it is.
 *
 * @param {string} root the repository's folder
 * @returns {Promise<void>} rejects with an InstallError that says what the user can do
 */
export async function ensureInstalled(root) {
  if (whyInstall(root) === undefined) return;
  const lock = await takeLock(root);
  try {
    const reason = whyInstall(root);
    if (reason !== undefined) await install(root, { reason, lock });
  } finally {
    rmSync(lock, { force: true });
  }
}

/**
 * @param {string} root
 * @param {{ reason: string, lock: string }} options
 */
async function install(root, { reason, lock }) {
  const npm = findNpm(root);
  checkNpm(npm);
  // npm ci empties node_modules in any order: without this file a half-emptied folder cannot look complete.
  rmSync(path.join(root, "node_modules", ".package-lock.json"), { force: true });
  const progress = showProgress(`Installing packages and Node 24 (${reason}, usually under a minute)`);
  const { code, output } = await runNpmCi(root, npm, lock);
  progress.end(code === 0 ? "done" : "failed");
  if (code !== 0) throw new InstallError(`${output}\n${adviceFor(output)}`);
  if (!existsSync(nodeBinary(root))) throw new InstallError(`${output}\n${ADVICE_NO_BINARY}`);
}

const ADVICE_NO_BINARY =
  "npm finished, but Node 24 is not there: the install script of the package `node` did not run.\n" +
  "Allow install scripts (npm config get ignore-scripts) and run the same command again.";

/** @param {string} output what npm printed */
function adviceFor(output) {
  const code = NETWORK_FAILURE.exec(output)?.[0];
  if (code === undefined) {
    return "npm could not install package-lock.json; its output is above. Run the same command again once that is mended.";
  }
  return (
    `The package registry could not be reached (${code}); npm's output is above.\n` +
    "It is needed once, to install what package-lock.json lists. Connect this machine, or name a proxy or a mirror\n" +
    "(npm config set proxy URL, npm config set registry URL), and run the same command again."
  );
}

/**
 * @param {string} root
 * @param {Npm} npm
 * @param {string} lock
 * @returns {Promise<{ code: number, output: string }>}
 */
function runNpmCi(root, npm, lock) {
  const args = [
    "ci",
    "--include=dev",
    "--include=optional",
    "--ignore-scripts=false",
    "--no-audit",
    "--no-fund",
  ];
  const retries = ["--fetch-retries=3", "--fetch-retry-maxtimeout=10000"];
  return new Promise((resolve, reject) => {
    const child = spawn(npm.command, [...npm.args, ...args, ...retries], {
      cwd: root,
      env: npm.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (child.pid !== undefined) writeFileSync(lock, String(child.pid));
    const stop = stopWithChild(child);
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.once("error", (error) => reject(new InstallError(`npm cannot be started: ${error.message}`)));
    child.once("close", (code, signal) => {
      stop();
      resolve({
        code: code ?? 1,
        output: output.trimEnd() + (signal === null ? "" : `\nnpm ended by ${signal}`),
      });
    });
  });
}

/**
 * A signal ends npm first, then this process by the same signal. The next start repairs what is half done.
 *
 * @param {import("node:child_process").ChildProcess} child
 */
function stopWithChild(child) {
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  /** @param {NodeJS.Signals} signal */
  const end = (signal) => {
    stop();
    child.once("exit", () => process.kill(process.pid, signal));
    child.kill(signal);
  };
  const stop = () => signals.forEach((signal) => process.removeListener(signal, end));
  signals.forEach((signal) => process.on(signal, end));
  return stop;
}

/** @typedef {{ command: string, args: string[], env: NodeJS.ProcessEnv }} Npm */

/**
 * The npm that runs this script, else the one on the PATH; never under the Node 24 of node_modules, which an
 * installation deletes.
 *
 * @param {string} root
 * @returns {Npm}
 */
function findNpm(root) {
  const inside = path.join(root, "node_modules") + path.sep;
  const folders = (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .filter((folder) => !`${folder}${path.sep}`.startsWith(inside));
  const env = { ...process.env, PATH: folders.join(path.delimiter), ONNXRUNTIME_NODE_INSTALL: "skip" };
  const cli = process.env["npm_execpath"] ?? "";
  const node = [process.env["npm_node_execpath"], process.execPath].find(
    (file) => file && !file.startsWith(inside),
  );
  if (node !== undefined && path.basename(cli) === "npm-cli.js") return { command: node, args: [cli], env };
  return { command: "npm", args: [], env };
}

/** @param {Npm} npm */
function checkNpm(npm) {
  const answer = spawnSync(npm.command, [...npm.args, "--version"], { env: npm.env, encoding: "utf8" });
  if (answer.error)
    throw new InstallError(
      `npm cannot be started: ${answer.error.message}. Install Node 20 or later with npm.`,
    );
  const version = answer.stdout.trim();
  if (Number.parseInt(version, 10) >= MIN_NPM_MAJOR) return;
  throw new InstallError(
    `npm ${version} is too old, ${MIN_NPM_MAJOR} or later is needed: npm install --global npm@${MIN_NPM_MAJOR}`,
  );
}

/**
 * One installation of a folder at a time. The file holds the process id of the installer; a dead or very old
 * one holds nothing.
 *
 * @param {string} root
 * @returns {Promise<string>} the lock's path: remove it to release
 */
async function takeLock(root) {
  const lock = path.join(root, ".install.pid");
  for (let waiting = false; ; waiting = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return lock;
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    }
    const holder = livingHolder(lock);
    if (holder === undefined) rmSync(lock, { force: true });
    else if (!waiting)
      process.stderr.write(`Process ${holder} installs packages in this folder; waiting for it.\n`);
    await sleep(LOCK_POLL_MS);
  }
}

/** @param {string} lock */
function livingHolder(lock) {
  try {
    if (Date.now() - statSync(lock).mtimeMs > LOCK_MAX_AGE_MS) return undefined;
    const pid = Number(readFileSync(lock, "utf8"));
    if (pid > 0) process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }> | undefined}
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
