/** What the system says of a file that was not read, for people. */

/** Why a file was not read. */
export function whyUnreadable(error: unknown): string {
  if (isMissing(error)) return "there is no such file";
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return error instanceof Error ? error.message : String(error);
}

/** True where a file was not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
