/** Encoded pictures: which kinds are taken and how each is told by its first bytes. */
import { encodeBytesElements } from "@spillway/protocol/tensors";
import type { Tensor } from "../../core/tensor.ts";

/** Content types of pictures that models take. */
export const pictureTypes = ["image/jpeg", "image/png", "image/webp"] as const;

/** One of them. */
export type PictureType = (typeof pictureTypes)[number];

/** The kind of an encoded picture by its signature; undefined for anything else. Whether the rest can be decoded is found out by the worker. */
export function pictureType(bytes: Uint8Array): PictureType | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "image/jpeg";
  if (startsWith(bytes, "\u0089PNG\r\n\u001a\n", 0)) return "image/png";
  if (startsWith(bytes, "RIFF", 0) && startsWith(bytes, "WEBP", 8)) return "image/webp";
  return undefined;
}

function startsWith(bytes: Uint8Array, text: string, from: number): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The BYTES tensor of pictures, one an element. */
export function pictureTensor(name: string, pictures: readonly Uint8Array[]): Tensor {
  return { name, datatype: "BYTES", shape: [pictures.length], data: encodeBytesElements(pictures) };
}
