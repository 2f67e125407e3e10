/** The workload files of `bench/workloads/`: what is sent to which models, fixed before anything is tuned. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { checkLoadPlan } from "../load/load-spec.ts";
import type { LoadPlan } from "../load/load-spec.ts";
import { repositoryRoot } from "./paths.ts";

/** A model that a workload needs. `instances` is how many processes serve it, default 1. */
export type ModelSpec = { readonly name: string; readonly instances?: number } & (
  | {
      /** A multilayer perceptron with seeded random weights, input `x`, output `y`. */
      readonly kind: "mlp";
      readonly layers: readonly number[];
      readonly seed: number;
    }
  | {
      /**
       * A classifier of pictures, stretched to `size` × `size`: 3×3 convolutions of stride 2 with seeded random weights,
       * then a softmax over `classes`, labelled "0", "1" and so on.
       */
      readonly kind: "cnn";
      readonly size: number;
      readonly channels: readonly number[];
      readonly classes: number;
      readonly seed: number;
    }
  | {
      /** The mock engine with these options of `model.yaml`. */
      readonly kind: "mock";
      readonly mock: Readonly<Record<string, unknown>>;
    }
  /** The model of this name in `models/`. */
  | { readonly kind: "repository" }
);

/** A workload file. */
export interface Workload {
  /** The name of its file. */
  readonly id: string;
  readonly description: string;
  readonly models: readonly ModelSpec[];
  /** By role: `main`, or what the description says. */
  readonly loads: Readonly<Record<string, LoadPlan>>;
  /** Further numbers of the figure, units in their names. */
  readonly parameters: Readonly<Record<string, number>>;
}

const FOLDER = join(repositoryRoot, "bench", "workloads");

/** Names of all workload files. */
export async function workloadIds(): Promise<string[]> {
  const files = await readdir(FOLDER);
  return files.filter((file) => file.endsWith(".json")).map((file) => basename(file, ".json"));
}

/** Reads a workload and checks that its loads can be run. */
export async function readWorkload(id: string): Promise<Workload> {
  const workload = JSON.parse(await readFile(join(FOLDER, `${id}.json`), "utf8")) as Workload;
  if (workload.id !== id) throw new Error(`${id}.json: expected the id "${id}", got "${workload.id}"`);
  for (const plan of Object.values(workload.loads)) checkLoadPlan(plan);
  return workload;
}

/** The load of a role. Throws when there is none. */
export function loadOf(workload: Workload, role = "main"): LoadPlan {
  const plan = workload.loads[role];
  if (plan === undefined) {
    throw new Error(`${workload.id} has no load "${role}"; it has ${Object.keys(workload.loads).join(", ")}`);
  }
  return plan;
}

/** A number of the workload. Throws when there is none. */
export function parameterOf(workload: Workload, name: string): number {
  const value = workload.parameters[name];
  if (value === undefined) throw new Error(`${workload.id} has no parameter "${name}"`);
  return value;
}
