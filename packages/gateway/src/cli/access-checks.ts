/** What the files of keys and certificates are like, before a gateway uses them. */
import { day, readCertificate } from "../app/certificates.ts";
import { loadKeys, type CompiledConfig } from "../config/index.ts";
import { systemClock, type Clock } from "../core/clock.ts";
import { toSentence } from "./describe-error.ts";

/** What keeps a gateway from starting, and what is to be known. */
export interface AccessReport {
  readonly errors: readonly string[];
  readonly notes: readonly string[];
}

/** Certificates that end sooner are told of. */
const soonMs = 21 * 86_400_000;

/** Reads every file that access depends on. */
export async function checkAccess(config: CompiledConfig, clock: Clock = systemClock): Promise<AccessReport> {
  const reports = await Promise.all([checkKeys(config), checkCertificates(config, clock)]);
  return { errors: reports.flatMap(({ errors }) => errors), notes: reports.flatMap(({ notes }) => notes) };
}

async function checkKeys({ access }: CompiledConfig): Promise<AccessReport> {
  const { mode, keys, keysFile } = access;
  if (mode !== "keys") return { errors: [], notes: [] };
  const result = keysFile === undefined ? { keys: [] } : await loadKeys({ file: keysFile, inline: keys });
  if ("errors" in result) return { errors: result.errors, notes: [] };
  if (keys.length + result.keys.length > 0) return { errors: [], notes: [] };
  return { errors: [], notes: ["there is no key, so nobody can call: spillway keys create makes one"] };
}

/** When each certificate ends, or what is wrong with it. */
async function checkCertificates({ http, grpc }: CompiledConfig, clock: Clock): Promise<AccessReport> {
  const errors = new Set<string>();
  const notes = new Set<string>();
  for (const { tls } of grpc === undefined ? http : [...http, grpc]) {
    if (tls === undefined) continue;
    try {
      const { expiresAtMs } = await readCertificate(tls, clock);
      const isSoon = expiresAtMs - clock.wallNow() < soonMs;
      notes.add(
        `the certificate in ${tls.cert} ${isSoon ? "expires soon, " : "is valid until "}${isSoon ? "on " : ""}${day(expiresAtMs)}`,
      );
    } catch (error) {
      errors.add(toSentence(error));
    }
  }
  return { errors: [...errors], notes: [...notes] };
}
