// @ts-check
// Goes on under another Node binary as if this process had been that program from the start.
// Plain JavaScript that Node 20 can run: it is what starts Node 24.
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { constants as system, tmpdir } from "node:os";
import path from "node:path";

/**
 * Runs `binary args…` with this process's stdio, environment and folder; never returns to the caller's work.
 *
 * Where the running Node can replace itself (POSIX, Node 22.15 and later) no second process stays behind.
 * Elsewhere this process waits, passes signals on and ends as the program ends: with its exit code, or by
 * its signal.
 *
 * @param {string} binary absolute path of a Node executable
 * @param {readonly string[]} args its arguments, without the program name
 * @returns {void}
 */
export function handOver(binary, args) {
  // Set before the program's first module: a cached entry needs no type stripper, which is 8 MB of every process.
  process.env.NODE_COMPILE_CACHE ??= path.join(tmpdir(), "node-compile-cache");
  accessSync(binary, constants.X_OK); // a failed execve would abort this process instead of throwing
  if (typeof process.execve === "function") process.execve(binary, [binary, ...args]);
  else runAndWait(binary, args);
}

/**
 * @param {string} binary
 * @param {readonly string[]} args
 */
function runAndWait(binary, args) {
  const child = spawn(binary, args, { stdio: "inherit" });
  // A terminal sends Ctrl-C to the whole foreground group, the child included: waiting is all there is to do.
  // Without a terminal only this process was meant to pass it on.
  const passOnInterrupt = !process.stdin.isTTY && !process.stdout.isTTY && !process.stderr.isTTY;
  process.on("SIGINT", () => passOnInterrupt && child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.on("SIGHUP", () => child.kill("SIGHUP"));
  child.once("error", (error) => {
    process.stderr.write(`${binary} cannot be started: ${error.message}\n`);
    process.exit(126);
  });
  child.once("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    // Reached only where the signal's default action leaves the process alive.
    setTimeout(() => process.exit(128 + system.signals[signal]), 100);
  });
}
