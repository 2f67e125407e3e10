/** Certificates for tests of TLS, made by the openssl program. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { requireProgram } from "./requires.ts";

/** A certificate authority that exists for one test. */
export interface TestAuthority {
  /** Its certificate, a PEM file. */
  readonly file: string;
  /** A certificate and its key for a server that is called `name`, as PEM texts. */
  issue(name: string): { readonly cert: string; readonly key: string };
}

/** Makes an authority; undefined, and the test is skipped, where openssl is missing. */
export function createAuthority(test: TestContext): TestAuthority | undefined {
  const openssl = requireProgram(test, "openssl", "apt install openssl");
  if (openssl === undefined) return undefined;
  const folder = mkdtempSync(path.join(tmpdir(), "spillway-ca-"));
  test.after(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => path.join(folder, name);
  const request = (name: string, ...more: string[]): void => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    const out = ["-keyout", file(`${name}.key`), "-out", file(`${name}.pem`)];
    execFileSync(openssl, ["req", "-x509", "-days", "2", "-subj", `/CN=${name}`, ...key, ...out, ...more], {
      stdio: "pipe",
    });
  };
  request("authority");
  return {
    file: file("authority.pem"),
    issue(name) {
      const signer = ["-CA", file("authority.pem"), "-CAkey", file("authority.key")];
      request(
        name,
        ...signer,
        "-addext",
        `subjectAltName=DNS:${name}`,
        "-addext",
        "basicConstraints=CA:FALSE",
      );
      return {
        cert: readFileSync(file(`${name}.pem`), "utf8"),
        key: readFileSync(file(`${name}.key`), "utf8"),
      };
    },
  };
}
