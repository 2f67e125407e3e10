/** Model packages for tests, good and bad: tar archives made entry by entry. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { Header } from "tar";
import type { HeaderData } from "tar";

/** One entry of an archive. */
export interface PackageEntry extends Pick<HeaderData, "type" | "linkpath"> {
  readonly path: string;
  readonly content?: string | Uint8Array;
}

/** A tar archive of the entries as they are, whatever they are. */
export function tarOf(entries: readonly PackageEntry[]): Buffer {
  const blocks = entries.flatMap(({ path, content = "", type = "File", ...rest }) => {
    const bytes = Buffer.from(content);
    const block = Buffer.alloc(512);
    new Header({ path, type, size: bytes.length, mode: 0o644, mtime: new Date(0), ...rest }).encode(block);
    return [block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** A gzipped package of a model file and its `model.yaml`. */
export function packageOf(onnx: string | Uint8Array, yaml: string): Buffer {
  return gzipSync(
    tarOf([
      { path: "model.onnx", content: onnx },
      { path: "model.yaml", content: yaml },
    ]),
  );
}

/** Lower-case hex. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that do not shrink when they are zipped; the same for the same count. A multiple of 32 of them. */
export function noise(bytes: number): Buffer {
  return Buffer.concat(
    Array.from({ length: Math.ceil(bytes / 32) }, (_, index) =>
      createHash("sha256").update(String(index)).digest(),
    ),
  );
}
