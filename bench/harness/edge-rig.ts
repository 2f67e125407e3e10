/** What the figures about pictures run: a gateway whose detectors ask the workload's CNN, and a picture for them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { prepareModels } from "./bench-models.ts";
import { withGateway } from "./gateway.ts";
import type { Gateway } from "./gateway.ts";
import { pictureOf } from "./picture.ts";
import type { Workload } from "./workload.ts";

/** A started gateway and what is sent to it. */
export interface EdgeRig {
  readonly gateway: Gateway;
  readonly picture: Buffer;
  /** Path of a file with the picture. */
  readonly pictureFile: string;
  /** Path of the CNN's ONNX file. */
  readonly onnxFile: string;
  /** Width and height that the CNN takes. */
  readonly size: number;
}

/** Where and how a rig runs. */
export interface EdgeRigOptions {
  readonly directory: string;
  /** Default: the one that the lockfile installs. */
  readonly node?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Further keys of `edge`. */
  readonly edge?: Readonly<Record<string, unknown>>;
  /** Further keys of a detector. */
  readonly detector?: (id: string) => Readonly<Record<string, unknown>>;
  /** Further detectors that nobody asks. Default 0. */
  readonly resting?: number;
}

/**
 * Starts a gateway without keys and without a cloud, with the detectors that the workload's requests name, all asking its
 * first model, a CNN. Uses it and closes it, whatever happens.
 */
export async function withEdgeRig<Result>(
  workload: Workload,
  options: EdgeRigOptions,
  use: (rig: EdgeRig) => Promise<Result>,
): Promise<Result> {
  const { directory, node, env, edge } = options;
  await mkdir(directory, { recursive: true });
  const models = await prepareModels(workload, directory);
  const [model] = workload.models;
  if (model?.kind !== "cnn") throw new Error(`${workload.id}: the first model is not a CNN`);
  const classNames = Array.from({ length: model.classes }, (_, index) => String(index));
  const resting = Array.from({ length: options.resting ?? 0 }, (_, index) => restingId(index));
  const detectors = [...askedOf(workload), ...resting].map((id) => ({
    id,
    query: "What is this?",
    mode: "MULTI_CLASS",
    classNames,
    model: model.name,
    ...options.detector?.(id),
  }));
  const picture = await pictureOf(workload);
  const pictureFile = join(directory, "picture.jpg");
  await writeFile(pictureFile, picture);
  const started = {
    directory,
    config: {
      models: { repository: models.directory, instances: models.instances },
      edge: { detectors, ...edge },
    },
    ...(node === undefined ? {} : { node }),
    env: { SPILLWAY_DATA: join(directory, "data"), ...env },
  };
  const onnxFile = models.onnxFiles[model.name] ?? "";
  return withGateway(started, (gateway) =>
    use({ gateway, picture, pictureFile, onnxFile, size: model.size }),
  );
}

function restingId(index: number): string {
  return `det_Resting${String(index).padStart(20, "0")}`;
}

function askedOf(workload: Workload): string[] {
  const paths = Object.values(workload.loads).flatMap(({ requests }) => requests.map(({ path }) => path));
  const ids = paths.flatMap((path) => new URL(path, "http://edge").searchParams.get("detector_id") ?? []);
  return [...new Set(ids)];
}
