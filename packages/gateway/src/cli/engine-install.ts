/** Installs what an engine needs, with npm, into a folder of its own. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, delimiter, join, sep } from "node:path";
import { installedMark } from "../workers/llama/engine-files.ts";
import { CommandError } from "./command-error.ts";

/** What to install, and where. */
export interface EngineInstallation {
  /** Exact version of node-llama-cpp. */
  readonly version: string;
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Codes of npm's errors that mean that the registry cannot be reached. */
const networkFailure =
  /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|FETCH_ERROR|CERT_[A-Z_]+|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+|ENOTCACHED)\b/;

/** Characters of npm's output that are kept for an error. */
const maxOutput = 20_000;

/** Packages with llama.cpp's binaries, by platform and architecture as Node names them. */
const platformPackages: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "linux-arm": "linux-armv7l",
  "darwin-x64": "mac-x64",
  "darwin-arm64": "mac-arm64-metal",
  "win32-x64": "win-x64",
  "win32-arm64": "win-arm64",
};

/**
 * Installs node-llama-cpp and the binaries for this machine, without any other optional package: nothing is compiled,
 * nothing comes from elsewhere than the registry. What a broken attempt left is replaced. Throws a `CommandError`.
 */
export async function installEngine({ version, folder, environment }: EngineInstallation): Promise<void> {
  const platform = platformPackage();
  rmSync(join(folder, installedMark), { force: true });
  mkdirSync(folder, { recursive: true });
  const manifest = join(folder, "package.json");
  // Without one npm would install into the nearest folder above that has one.
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  const packages = [`node-llama-cpp@${version}`, `@node-llama-cpp/${platform}@${version}`];
  const { code, output } = await runNpm(packages, folder, environment);
  if (code !== 0) throw new CommandError(`${output}\n${adviceFor(output)}`);
  writeFileSync(join(folder, installedMark), `${JSON.stringify({ version, platform })}\n`);
}

/** Removes what was installed. */
export function removeEngine(folder: string): void {
  rmSync(join(folder, installedMark), { force: true });
  rmSync(join(folder, "node_modules"), { recursive: true, force: true });
}

/** The package with the binaries for this machine. Throws a `CommandError` where there is none. */
export function platformPackage(): string {
  const place = `${process.platform}-${process.arch}`;
  const found = platformPackages[place];
  if (found === undefined) throw new CommandError(`there is no llama.cpp binary for ${place}`);
  if (process.platform === "linux" && !hasGlibc())
    throw new CommandError(
      "the llama.cpp binaries need glibc, which this Linux (such as Alpine) does not have",
    );
  return found;
}

function hasGlibc(): boolean {
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return header?.glibcVersionRuntime !== undefined;
}

const options = ["--omit=optional", "--no-package-lock", "--no-save", "--ignore-scripts"];
const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
const retries = ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=10000"];

async function runNpm(
  packages: readonly string[],
  folder: string,
  environment: EngineInstallation["environment"],
): Promise<{ readonly code: number; readonly output: string }> {
  const { command, args } = findNpm(environment);
  const all = [...args, "install", ...options, ...quiet, ...retries, "--prefix", folder, ...packages];
  const child = spawn(command, all, {
    cwd: folder,
    env: npmEnvironment(environment),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const keep = (chunk: Buffer): void => void (output = (output + String(chunk)).slice(-maxOutput));
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return new Promise((resolve, reject) => {
    child.once("error", ({ message }) => {
      reject(new CommandError(`npm cannot be started: ${message}. Install Node 20 or later with npm.`));
    });
    child.once("close", (code) => resolve({ code: code ?? 1, output: output.trimEnd() }));
  });
}

/** The npm that runs this command, else the one on the PATH. */
function findNpm(environment: EngineInstallation["environment"]): { command: string; args: string[] } {
  const cli = environment["npm_execpath"] ?? "";
  if (basename(cli) === "npm-cli.js" && existsSync(cli)) return { command: process.execPath, args: [cli] };
  return { command: process.platform === "win32" ? "npm.cmd" : "npm", args: [] };
}

/** Without what an npm that runs this command says of its own package; proxies and mirrors stay. */
function npmEnvironment(environment: EngineInstallation["environment"]): NodeJS.ProcessEnv {
  const own = /^npm_(package|lifecycle|config_local_prefix|command)/;
  const kept = Object.entries(environment).filter(([name]) => !own.test(name));
  const folders = (environment["PATH"] ?? "").split(delimiter);
  const path = folders.filter((folder) => !folder.includes(`node_modules${sep}.bin`)).join(delimiter);
  return { ...Object.fromEntries(kept), PATH: path };
}

function adviceFor(output: string): string {
  const code = networkFailure.exec(output)?.[0];
  if (code === undefined) return "npm could not install the engine; its output is above";
  return (
    `The package registry could not be reached (${code}); npm's output is above. The engine comes from there once.\n` +
    "Connect this machine, or name a proxy or a mirror (npm config set proxy URL, npm config set registry URL), and run the same command again"
  );
}
