/** Encoded pictures (JPEG, PNG, WebP) to the tensor a model takes, by `sharp` in the threads of libuv. */
import type { Sharp, SharpOptions } from "sharp";
import { bytesOf } from "@spillway/protocol/tensors";
import { errorText } from "../refusal.ts";
import type { ImageConfig } from "../repository/model-config.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";

/** Name of the BYTES input that takes encoded pictures, one an element. */
export const imageInputName = "image";

/** Pictures that cannot be used: the caller's fault. The message says which is the first and why. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  /** Rows of all the pictures that cannot be used, from 0. */
  readonly rows: readonly number[];

  constructor(message: string, rows: readonly number[]) {
    super(message);
    this.rows = rows;
  }
}

/** Turns pictures into one tensor, a row each. Rejects with an `ImageError`. */
export type ImageDecoder = (pictures: readonly Uint8Array[]) => Promise<Tensor>;

type SharpFactory = (input: Uint8Array, options: SharpOptions) => Sharp;

/** Datatypes that pictures can fill. Whole numbers are rounded and kept within 0 to 255. */
const arrays = { FP32: Float32Array, UINT8: Uint8ClampedArray } as const;

const loading = { sharp: undefined as Promise<SharpFactory> | undefined };

/** Loads the native decoder once for the process: one thread a picture, nothing cached between pictures. */
export function loadSharp(): Promise<SharpFactory> {
  loading.sharp ??= import("sharp").then(
    ({ default: sharp }) => {
      sharp.concurrency(1);
      sharp.cache(false);
      return sharp;
    },
    (error: unknown) => {
      loading.sharp = undefined;
      throw new Error(`pictures cannot be decoded here: ${errorText(error)}`, { cause: error });
    },
  );
  return loading.sharp;
}

/** What one picture becomes. */
interface Plan {
  readonly config: ImageConfig;
  readonly target: TensorSpec;
  readonly values: keyof typeof arrays;
  /** Shape of one row. */
  readonly rowShape: readonly number[];
}

/** The shape a picture has in the tensor: what the model declares, with free dimensions filled in by the layout. */
function rowShapeOf(target: TensorSpec, config: ImageConfig): number[] | undefined {
  const { width, height, channels, layout } = config;
  const declared = target.shape.slice(1);
  const natural = layout === "HWC" ? [height, width, channels] : [channels, height, width];
  if (declared.every((dimension) => dimension > 0))
    return declared.reduce((a, b) => a * b, 1) === width * height * channels ? declared : undefined;
  if (declared.length === 1) return [width * height * channels];
  const fits =
    declared.length === 3 &&
    declared.every((dimension, index) => dimension < 0 || dimension === natural[index]);
  return fits ? natural : undefined;
}

/**
 * A decoder for what `input.image` of model.yaml says.
 * Throws when the model has no such tensor or the picture's size does not fit it.
 */
export function createImageDecoder(config: ImageConfig, inputs: readonly TensorSpec[]): ImageDecoder {
  const target = inputs.find((spec) => spec.name === config.tensor);
  if (target === undefined) {
    const names = inputs.map((spec) => spec.name).join(", ");
    throw new Error(`input.image.tensor: the model has no input "${config.tensor}"; it has ${names}`);
  }
  const values = target.datatype;
  if (values !== "FP32" && values !== "UINT8")
    throw new Error(`input.image.tensor: "${config.tensor}" is ${values}; pictures fill FP32 or UINT8`);
  const rowShape = rowShapeOf(target, config);
  if (rowShape === undefined)
    throw new Error(
      `input.image: ${config.width}×${config.height} pixels with ${config.channels} channels as ${config.layout} ` +
        `do not fit "${config.tensor}" ${target.datatype} [${target.shape.join(",")}]`,
    );
  const plan: Plan = { config, target, values, rowShape };
  return (pictures) => decodeAll(pictures, plan);
}

async function decodeAll(pictures: readonly Uint8Array[], plan: Plan): Promise<Tensor> {
  const sharp = await loadSharp();
  const { width, height, channels } = plan.config;
  const size = width * height * channels;
  const values = new arrays[plan.values](pictures.length * size);
  const settled = await Promise.allSettled(
    pictures.map(async (picture, row) => {
      const pixels = await decodeOne(sharp, picture, plan.config);
      fillRow(values.subarray(row * size, (row + 1) * size), pixels, plan.config);
    }),
  );
  const failed = settled.flatMap((result, row) => (result.status === "rejected" ? [row] : []));
  const [first] = failed;
  if (first !== undefined) {
    const which = pictures.length === 1 ? "the picture" : `picture ${first + 1} of ${pictures.length}`;
    const result = settled[first];
    throw new ImageError(`${which} ${result?.status === "rejected" ? errorText(result.reason) : ""}`, failed);
  }
  return {
    name: plan.target.name,
    datatype: plan.target.datatype,
    shape: [pictures.length, ...plan.rowShape],
    data: bytesOf(values),
  };
}

/** Decodes, turns upright, resizes; the picture's raw bytes, channels together. Throws Errors for people. */
async function decodeOne(sharp: SharpFactory, picture: Uint8Array, config: ImageConfig): Promise<Uint8Array> {
  if (picture.length === 0) throw new Error("is empty; expected a JPEG, PNG or WebP file");
  if (!isKnownFormat(picture)) throw new Error("is not an image; expected a JPEG, PNG or WebP file");
  const { width, height, fit, channels, maxPixels } = config;
  // Transparency and bars become black, sharp's own default: a colour that is named would be parsed for each picture.
  const upright = sharp(picture, { failOn: "error", limitInputPixels: maxPixels, sequentialRead: true })
    .autoOrient()
    .flatten()
    .resize(width, height, { fit });
  const coloured = channels === 1 ? upright.greyscale().toColourspace("b-w") : upright.toColourspace("srgb");
  try {
    const { data, info } = await coloured.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    if (info.channels !== channels)
      throw new Error(`decodes to ${info.channels} channels; expected ${channels}`);
    return data;
  } catch (error) {
    throw await explain(error, sharp, picture, maxPixels);
  }
}

/** By the first bytes. Nothing else reaches the decoder, which also knows formats that can name other files. */
function isKnownFormat(picture: Uint8Array): boolean {
  const head = Buffer.from(picture.buffer, picture.byteOffset, Math.min(picture.length, 12)).toString(
    "latin1",
  );
  return (
    head.startsWith("\xff\xd8\xff") || head.startsWith("\x89PNG\r\n\x1a\n") || /^RIFF.{4}WEBP$/s.test(head)
  );
}

/** Why the decoder refused a picture, in words for people. */
async function explain(
  error: unknown,
  sharp: SharpFactory,
  picture: Uint8Array,
  maxPixels: number,
): Promise<Error> {
  const detail = (errorText(error).split("\n")[0] ?? "").replace(/(: )?(Unknown error)?$/, "");
  const damaged = new Error(`is damaged or truncated${detail === "" ? "" : `: ${detail}`}`, { cause: error });
  if (!errorText(error).includes("pixel limit")) return damaged;
  const head = sharp(picture, { failOn: "none", limitInputPixels: false }).metadata();
  return head.then(
    ({ width, height }) =>
      new Error(
        `has ${width}×${height} pixels; expected at most ${maxPixels} pixels (input.image.maxPixels)`,
      ),
    () => damaged,
  );
}

/** (value × scale − mean) / std for each channel, in the tensor's order. */
function fillRow(row: Float32Array | Uint8ClampedArray, pixels: Uint8Array, config: ImageConfig): void {
  const { channels, layout } = config;
  const plane = config.width * config.height;
  for (let channel = 0; channel < channels; channel++) {
    const std = config.std[channel] ?? 1;
    const factor = config.scale / std;
    const offset = -(config.mean[channel] ?? 0) / std;
    const step = layout === "HWC" ? channels : 1;
    let target = layout === "HWC" ? channel : channel * plane;
    for (let source = channel; source < pixels.length; source += channels) {
      row[target] = (pixels[source] ?? 0) * factor + offset;
      target += step;
    }
  }
}
