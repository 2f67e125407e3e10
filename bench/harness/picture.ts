/** A picture such as a camera takes, made from a seed. */
import sharp from "sharp";
import { seededRandom } from "../load/random.ts";
import type { LoadPlan } from "../load/load-spec.ts";
import { parameterOf } from "./workload.ts";
import type { Workload } from "./workload.ts";

/** What is drawn. */
export interface PictureSpec {
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** Of the JPEG, 1 to 100. */
  readonly quality: number;
}

const OBJECTS = 24;
/** Standard deviation of the sensor's noise, of 255. */
const NOISE = 6;

/**
 * A JPEG of a lit wall with things before it, a little blurred, and the noise of a sensor: edges, planes and grain in
 * about the shares of a photograph. The same spec gives the same bytes with the same version of sharp.
 */
export async function makePicture({ width, height, seed, quality }: PictureSpec): Promise<Buffer> {
  const random = seededRandom(seed);
  const scene = await sharp(Buffer.from(sceneOf({ width, height }, random)))
    .flatten()
    .blur(0.8)
    .raw()
    .toBuffer();
  for (let index = 0; index < scene.length; index += 1) {
    const grain = (random() + random() + random() - 1.5) * 2 * NOISE;
    scene[index] = Math.min(255, Math.max(0, Math.round((scene[index] ?? 0) + grain)));
  }
  return sharp(scene, { raw: { width, height, channels: 3 } })
    .jpeg({ quality })
    .toBuffer();
}

/** The picture that a workload's parameters tell. */
export function pictureOf(workload: Workload): Promise<Buffer> {
  const of = (name: string): number => parameterOf(workload, name);
  return makePicture({
    width: of("pictureWidth"),
    height: of("pictureHeight"),
    seed: of("pictureSeed"),
    quality: of("pictureQuality"),
  });
}

/** The plan with this JPEG as the body of each request. */
export function withPicture(plan: LoadPlan, picture: Buffer): LoadPlan {
  const body = { kind: "base64", value: picture.toString("base64"), contentType: "image/jpeg" } as const;
  return { ...plan, requests: plan.requests.map((one) => ({ ...one, body })) };
}

function sceneOf({ width, height }: Pick<PictureSpec, "width" | "height">, random: () => number): string {
  const colour = (): string => `hsl(${Math.round(random() * 360)} 45% ${Math.round(20 + random() * 60)}%)`;
  const shapes = Array.from({ length: OBJECTS }, (_, index) => {
    const [x, y] = [random() * width, random() * height];
    const [w, h] = [20 + random() * 120, 20 + random() * 120];
    return index % 2 === 0
      ? `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${colour()}" transform="rotate(${random() * 90} ${x} ${y})"/>`
      : `<ellipse cx="${x}" cy="${y}" rx="${w / 2}" ry="${h / 2}" fill="${colour()}" stroke="${colour()}" stroke-width="3"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><defs><linearGradient id="wall" x2="1" y2="1"><stop stop-color="#8a8f94"/><stop offset="1" stop-color="#3c3f38"/></linearGradient></defs><rect width="100%" height="100%" fill="url(#wall)"/>${shapes.join("")}</svg>`;
}
