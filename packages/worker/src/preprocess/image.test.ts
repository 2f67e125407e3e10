/** Pictures to tensors: layouts, normalisation, and what is refused in which words. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import sharp from "sharp";
import type { ImageConfig } from "../repository/model-config.ts";
import type { TensorSpec } from "../tensor.ts";
import { floatValues } from "../tensor.ts";
import { ImageError, createImageDecoder } from "./image.ts";

const config: ImageConfig = {
  tensor: "x",
  width: 4,
  height: 2,
  channels: 3,
  layout: "HWC",
  scale: 1,
  mean: [],
  std: [],
  fit: "fill",
  maxPixels: 10_000,
};

const free: readonly TensorSpec[] = [{ name: "x", datatype: "FP32", shape: [-1, -1, -1, -1] }];

/** A 4 × 2 picture whose pixel values are 0, 1, 2, … 23. */
const ramp = sharp(
  Uint8Array.from({ length: 24 }, (_, index) => index),
  { raw: { width: 4, height: 2, channels: 3 } },
);

function noise(width: number, height: number) {
  const values = Uint8Array.from({ length: width * height * 3 }, (_, index) => (index * 7919) % 251);
  return sharp(values, { raw: { width, height, channels: 3 } });
}

const pictures = { png: Buffer.alloc(0), jpeg: Buffer.alloc(0), webp: Buffer.alloc(0) };

before(async () => {
  pictures.png = await ramp.clone().png().toBuffer();
  pictures.jpeg = await noise(40, 40).jpeg().toBuffer();
  pictures.webp = await ramp.clone().webp({ lossless: true }).toBuffer();
});

async function decode(picture: Uint8Array, change: Partial<ImageConfig> = {}, inputs = free) {
  const tensor = await createImageDecoder({ ...config, ...change }, inputs)([picture]);
  return { shape: tensor.shape, values: [...floatValues(tensor.data)] };
}

test("HWC keeps pixels together, CHW makes planes", async () => {
  const counting = Array.from({ length: 24 }, (_, index) => index);
  assert.deepEqual(await decode(pictures.png), { shape: [1, 2, 4, 3], values: counting });
  const { shape, values } = await decode(pictures.webp, { layout: "CHW" });
  assert.deepEqual(shape, [1, 3, 2, 4]);
  assert.deepEqual(values.slice(0, 9), [0, 3, 6, 9, 12, 15, 18, 21, 1]);
});

test("values are scaled, then shifted and divided by channel", async () => {
  const { values } = await decode(pictures.png, { scale: 2, mean: [1, 2, 3], std: [1, 2, 4] });
  assert.deepEqual(values.slice(0, 6), [-1, 0, 0.25, 5, 3, 1.75]);
});

test("the tensor has the model's shape: flat, with fixed sizes, of bytes", async () => {
  const flat = await decode(pictures.png, {}, [{ name: "x", datatype: "FP32", shape: [-1, 24] }]);
  assert.deepEqual(flat.shape, [1, 24]);
  const open = await decode(pictures.png, {}, [{ name: "x", datatype: "FP32", shape: [-1, -1] }]);
  assert.deepEqual(open.shape, [1, 24]);
  const decoder = createImageDecoder({ ...config, scale: 0.5, mean: [2, 0, -300] }, [
    { name: "x", datatype: "UINT8", shape: [-1, 2, 4, 3] },
  ]);
  const bytes = await decoder([pictures.png]);
  assert.deepEqual([...bytes.data.subarray(0, 6)], [0, 0, 255, 0, 2, 255]);
});

test("grey and colour turn into each other, transparency into black", async () => {
  const grey = await sharp({ create: { width: 4, height: 2, channels: 3, background: "#646464" } })
    .toColourspace("b-w")
    .png()
    .toBuffer();
  assert.deepEqual((await decode(grey)).values.slice(0, 3), [100, 100, 100]);
  assert.deepEqual((await decode(grey, { channels: 1 })).values.slice(0, 2), [100, 100]);
  const clear = await sharp({
    create: { width: 4, height: 2, channels: 4, background: { r: 200, g: 0, b: 0, alpha: 0.5 } },
  })
    .png()
    .toBuffer();
  const [red] = (await decode(clear)).values;
  assert.ok(Math.abs((red ?? 0) - 100) <= 2, `${red}`);
  const deep = await sharp({ create: { width: 4, height: 2, channels: 3, background: "#646464" } })
    .toColourspace("rgb16")
    .png()
    .toBuffer();
  assert.deepEqual((await decode(deep)).values.slice(0, 3), [100, 100, 100]);
});

test("fit decides what happens to other proportions", async () => {
  const wide = await sharp({ create: { width: 40, height: 10, channels: 3, background: "#fff" } })
    .png()
    .toBuffer();
  const share = async (fit: ImageConfig["fit"]) => {
    const { values } = await decode(wide, { fit, width: 8, height: 8, channels: 1 });
    return values.filter((value) => value > 200).length / 64;
  };
  assert.deepEqual([await share("fill"), await share("cover"), await share("contain")], [1, 1, 0.25]);
});

test("a photograph lying on its side is turned upright", async () => {
  const lying = await sharp(Uint8Array.of(255, 255, 255, 0, 0, 0), {
    raw: { width: 2, height: 1, channels: 3 },
  })
    .withMetadata({ orientation: 6 })
    .png()
    .toBuffer();
  const { values } = await decode(lying, { width: 1, height: 2, channels: 1 });
  assert.deepEqual(values, [255, 0]);
});

test("several pictures become rows in order", async () => {
  const white = await sharp({ create: { width: 4, height: 2, channels: 3, background: "#fff" } })
    .png()
    .toBuffer();
  const tensor = await createImageDecoder(config, free)([white, pictures.png, white]);
  const values = floatValues(tensor.data);
  assert.deepEqual([tensor.shape[0], values[0], values[24], values[25], values[48]], [3, 255, 0, 1, 255]);
});

const half = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2);

const refused: Record<string, readonly [picture: () => Uint8Array | Promise<Uint8Array>, message: RegExp]> = {
  nothing: [() => new Uint8Array(), /^the picture is empty; expected a JPEG, PNG or WebP file$/],
  text: [() => Buffer.from("hello"), /^the picture is not an image; expected a JPEG, PNG or WebP file$/],
  SVG: [() => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /is not an image/],
  GIF: [() => noise(4, 4).gif().toBuffer(), /is not an image/],
  "a truncated JPEG": [() => half(pictures.jpeg), /^the picture is damaged or truncated: .*premature end/],
  "a truncated PNG": [
    async () => half(await noise(40, 40).png().toBuffer()),
    /^the picture is damaged or truncated/,
  ],
  "a truncated WebP": [
    async () => half(await noise(40, 40).webp().toBuffer()),
    /^the picture is damaged or truncated/,
  ],
  "a JPEG's first bytes": [() => pictures.jpeg.subarray(0, 20), /^the picture is damaged or truncated/],
  "too many pixels": [
    () => noise(200, 100).png().toBuffer(),
    /^the picture has 200×100 pixels; expected at most 10000 pixels \(input\.image\.maxPixels\)$/,
  ],
};

for (const [name, [picture, message]] of Object.entries(refused)) {
  test(`refused: ${name}`, async () => {
    const bytes = await picture();
    await assert.rejects(
      decode(bytes),
      (error) => error instanceof ImageError && message.test(error.message),
    );
  });
}

test("of several pictures the bad ones are named", async () => {
  const decoder = createImageDecoder(config, free);
  const bad = Buffer.from("no");
  await assert.rejects(decoder([pictures.png, bad, pictures.png, bad]), {
    name: "ImageError",
    message: "picture 2 of 4 is not an image; expected a JPEG, PNG or WebP file",
    rows: [1, 3],
  });
});

test("a mapping that does not fit the model is refused at load", () => {
  const make = (change: Partial<ImageConfig>, spec: Partial<TensorSpec>) => () =>
    createImageDecoder({ ...config, ...change }, [
      { name: "x", datatype: "FP32", shape: [-1, 3, 8, 8], ...spec },
    ]);
  assert.throws(make({}, {}), /4×2 pixels with 3 channels as HWC do not fit "x" FP32 \[-1,3,8,8\]/);
  assert.throws(make({ tensor: "y" }, {}), /input\.image\.tensor: the model has no input "y"; it has x/);
  assert.throws(make({}, { datatype: "INT64" }), /pictures fill FP32 or UINT8/);
});
