/** Certificates of listeners: read, judged, and read again when their files change. */
import { createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Certificate, TlsFiles } from "../contracts/options.ts";
import type { Logger } from "../contracts/telemetry.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { whyUnreadable } from "../core/why-unreadable.ts";
import { WatchedFiles } from "./watched-files.ts";

/** How often the files are looked at. */
const pollMs = 2_000;

/** A certificate that can be used now. */
export interface ReadCertificate extends Certificate {
  /** Milliseconds since the Unix epoch. */
  readonly expiresAtMs: number;
}

/** Reads a pair. Rejects with a `GatewayError` that says which file is wrong and why. */
export async function readCertificate(files: TlsFiles, clock: Clock): Promise<ReadCertificate> {
  const [cert, key] = await Promise.all([readPem(files.cert), readPem(files.key)]);
  const leaf = parseCertificate(cert, files.cert);
  if (!leaf.checkPrivateKey(parseKey(key, files.key))) {
    throw new GatewayError(
      "internal",
      `The key in ${files.key} is not that of the certificate in ${files.cert}`,
    );
  }
  const now = clock.wallNow();
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  if (now >= to) throw new GatewayError("internal", `The certificate in ${files.cert} expired on ${day(to)}`);
  if (now < from) {
    throw new GatewayError("internal", `The certificate in ${files.cert} is not valid before ${day(from)}`);
  }
  return { cert, key, expiresAtMs: to };
}

/** The day of a moment, UTC. */
export function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** A pair that is kept as its files have it. */
export interface KeptCertificate {
  readonly certificate: Certificate;
  /** Takes what the files bring from now on. */
  renew: (certificate: Certificate) => void;
  close(): void;
}

/** Reads a pair and watches its files. Rejects as `readCertificate` does; a bad pair that comes later is logged and changes nothing. */
export async function keepCertificate(
  files: TlsFiles,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<KeptCertificate> {
  let current: ReadCertificate | undefined;
  let renew = (_certificate: Certificate): void => {};
  const watched = new WatchedFiles({
    clock,
    files: [files.cert, files.key],
    everyMs: pollMs,
    load: async () => {
      const next = await readCertificate(files, clock);
      const isNew = next.cert !== current?.cert || next.key !== current.key;
      const isRenewal = isNew && current !== undefined;
      if (isRenewal) renew(next);
      current = next;
      if (isRenewal) logger.info("certificate_renewed", { file: files.cert, expires: day(next.expiresAtMs) });
    },
    onProblem: (error) =>
      logger.error("certificate_not_renewed", {
        file: files.cert,
        error: error instanceof Error ? error.message : String(error),
      }),
  });
  await watched.start();
  if (current === undefined) throw new TypeError("the files were not read");
  return {
    certificate: current,
    get renew() {
      return renew;
    },
    set renew(next) {
      renew = next;
    },
    close: () => watched.close(),
  };
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new GatewayError("internal", `The PEM file ${file} cannot be read: ${whyUnreadable(error)}`, {
      cause: error,
    });
  }
}

function parseCertificate(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new GatewayError("internal", `There is no PEM certificate in ${file}`, { cause });
  }
}

function parseKey(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const needsPassphrase =
      cause instanceof Error && "code" in cause && cause.code === "ERR_MISSING_PASSPHRASE";
    const why = needsPassphrase ? "needs a passphrase; give one without" : "is no PEM private key";
    throw new GatewayError("internal", `The key in ${file} ${why}`, { cause });
  }
}
