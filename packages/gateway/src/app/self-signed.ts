/** A certificate that nobody has signed but itself, for connections that are to be encrypted and whose client does not ask who answers. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { Certificate } from "../contracts/options.ts";

const dayMs = 86_400_000;
/** From a day before, for clocks that differ, for ten years. */
const validity = { beforeMs: dayMs, afterMs: 3_650 * dayMs };

/** ASN.1 types (X.690). */
const asn1 = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  /** Of a context: a constructed member by its number. */
  member: 0xa0,
  /** In a subject's alternative names. */
  dnsName: 0x82,
};

/** 1.2.840.10045.4.3.2, 2.5.4.3, 2.5.29.17, 2.5.29.19 */
const oids = {
  ecdsaWithSha256: der(asn1.oid, Buffer.from("2a8648ce3d040302", "hex")),
  commonName: der(asn1.oid, Buffer.from("550403", "hex")),
  alternativeNames: der(asn1.oid, Buffer.from("551d11", "hex")),
  basicConstraints: der(asn1.oid, Buffer.from("551d13", "hex")),
};

/** Makes a pair for a server called `name` (RFC 5280), with a key on P-256. `wallNow`: ms since the Unix epoch. */
export function createSelfSigned(name: string, wallNow: number): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(asn1.sequence, oids.ecdsaWithSha256);
  const subject = der(
    asn1.sequence,
    der(asn1.set, der(asn1.sequence, oids.commonName, der(asn1.utf8, Buffer.from(name)))),
  );
  const serial = randomBytes(16);
  // Positive and without a leading zero.
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const body = der(
    asn1.sequence,
    der(asn1.member, der(asn1.integer, Buffer.from([2]))),
    der(asn1.integer, serial),
    algorithm,
    subject,
    der(asn1.sequence, time(wallNow - validity.beforeMs), time(wallNow + validity.afterMs)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(asn1.member + 3, extensions(name)),
  );
  const signature = sign("sha256", body, privateKey);
  const whole = der(asn1.sequence, body, algorithm, der(asn1.bitString, Buffer.from([0]), signature));
  return { cert: pem(whole), key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

function extensions(name: string): Buffer {
  const names = der(asn1.sequence, der(asn1.dnsName, Buffer.from(name)));
  const constraints = der(asn1.sequence);
  return der(
    asn1.sequence,
    der(asn1.sequence, oids.alternativeNames, der(asn1.octetString, names)),
    der(
      asn1.sequence,
      oids.basicConstraints,
      der(asn1.boolean, Buffer.from([0xff])),
      der(asn1.octetString, constraints),
    ),
  );
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, "").slice(0, 14);
  return der(asn1.generalizedTime, Buffer.from(`${digits}Z`));
}

/** Tag, length, contents. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const contents = Buffer.concat(parts);
  const { length } = contents;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), contents]);
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), contents]);
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").replaceAll(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
