/** A certificate in `spillway.yaml`. */
import * as z from "zod";
import { filePath } from "./values.ts";

/** Files of a listener's certificate. */
export const tlsSchema = z.strictObject({
  cert: filePath.describe(
    "PEM file of the certificate, its intermediates behind it; relative to this file. It and the key are watched: new ones are used for new connections, bad ones are logged and the old ones kept",
  ),
  key: filePath.describe("PEM file of its private key, without a passphrase"),
});
