/** What is on the disk of each model that was fetched, over restarts: one small JSON file a model, and the version folders. */
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { labelsSchema } from "./offer-fields.ts";

const meanSchema = z.object({ count: z.number(), mean: z.number(), variance: z.number() });

const keptVersionSchema = z.object({
  /** Name of its folder. */
  version: z.string().regex(/^[1-9]\d{0,14}$/),
  contentId: z.string(),
  source: z.string(),
  /** The source's version. */
  offered: z.string(),
  /** Of what is unpacked. */
  bytes: z.number(),
  labels: labelsSchema,
  /** Milliseconds since the Unix epoch. */
  installedAt: z.number(),
  /** Times it did not come up or pass its test. */
  trials: z.number(),
});

const keptModelSchema = z.object({
  detectorId: z.string(),
  versions: z.array(keptVersionSchema).max(100),
  /** The version folder that answers. */
  serving: z.string().optional(),
  /** The one that answered before, and can again. */
  previous: z.string().optional(),
  /** Since when `serving` does. Milliseconds since the Unix epoch. */
  servingSince: z.number(),
  /** How `previous` did when it was replaced. */
  before: z.object({ failures: meanSchema, agreement: meanSchema, excess: meanSchema }).optional(),
  /** Packages that must not be tried again, oldest first. */
  bad: z.array(z.object({ contentId: z.string(), reason: z.string(), at: z.number() })).max(100),
  /** Milliseconds since the Unix epoch; exact to the hour. */
  lastInUseAt: z.number(),
});

/** A version that is on the disk. */
export type KeptVersion = z.infer<typeof keptVersionSchema>;

/** A model whose versions are on the disk. */
export type KeptModel = z.infer<typeof keptModelSchema>;

const stateFolder = ".state";
/** Bad packages that are remembered of a model. */
const maxBad = 50;

/** The name of a detector's model and of its files: ids are compared without regard to case. Undefined: the id is no file name. */
export function modelNameOf(detectorId: string): string | undefined {
  const name = detectorId.toLowerCase();
  return /^[a-z0-9][a-z0-9._-]{0,127}$/.test(name) ? name : undefined;
}

/** A model of which nothing is there yet. */
export function emptyModel(detectorId: string, now: number): KeptModel {
  return { detectorId, versions: [], servingSince: 0, bad: [], lastInUseAt: now };
}

/** Remembers a package as bad; the oldest such are forgotten. */
export function noteBad(kept: KeptModel, contentId: string, reason: string, at: number): void {
  kept.bad = [...kept.bad.filter((one) => one.contentId !== contentId), { contentId, reason, at }].slice(
    -maxBad,
  );
}

/** The files. Methods throw what the disk throws. */
export class KeptModels {
  /** The model repository. */
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** All that can be read, by name; a file that cannot is as if it were not there. */
  async readAll(): Promise<Map<string, KeptModel>> {
    await mkdir(join(this.folder, stateFolder), { recursive: true });
    const found = new Map<string, KeptModel>();
    for (const file of await readdir(join(this.folder, stateFolder))) {
      const name = file.endsWith(".json") ? file.slice(0, -".json".length) : "";
      const kept = name === "" ? undefined : await this.#read(name);
      if (kept !== undefined) found.set(name, kept);
    }
    return found;
  }

  async #read(name: string): Promise<KeptModel | undefined> {
    try {
      const text = await readFile(this.#file(name), "utf8");
      return keptModelSchema.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  }

  /** Resolves when it is on the disk. */
  async write(name: string, kept: KeptModel): Promise<void> {
    await mkdir(join(this.folder, stateFolder), { recursive: true });
    const file = this.#file(name);
    {
      await using handle = await open(`${file}.new`, "w", 0o600);
      await handle.writeFile(JSON.stringify(kept));
      await handle.sync();
    }
    await rename(`${file}.new`, file);
    await using folder = await open(join(this.folder, stateFolder));
    await folder.sync();
  }

  /** Numbers of the version folders that are there. */
  async versionsOnDisk(name: string): Promise<string[]> {
    const names = await readdir(join(this.folder, name)).catch(() => []);
    return names.filter((each) => /^\d{1,15}$/.test(each));
  }

  removeVersion(name: string, version: string): Promise<void> {
    return rm(join(this.folder, name, version), { recursive: true, force: true });
  }

  /** Everything of a model. */
  async remove(name: string): Promise<void> {
    await rm(join(this.folder, name), { recursive: true, force: true });
    await rm(this.#file(name), { force: true });
  }

  #file(name: string): string {
    return join(this.folder, stateFolder, `${name}.json`);
  }
}
