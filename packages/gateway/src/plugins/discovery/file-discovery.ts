/** Endpoints from a file that somebody else writes. */
import { open, stat } from "node:fs/promises";
import { z } from "zod";
import type { DiscoveryListener, EndpointDiscovery } from "../../contracts/plugins/data.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { whyUnreadable } from "../../core/why-unreadable.ts";
import { definePlugin } from "../define-plugin.ts";
import { parseEndpointList } from "./parse-endpoint-list.ts";

/** Largest file that is read, bytes. */
const maxBytes = 1_048_576;
/** How often the file is looked at, ms. */
const lookMs = 500;

const parameters = z.lazy(() =>
  z.strictObject({
    path: z.string().min(1),
    /** False: read once, at the start. */
    watchFile: z.boolean().default(true),
  }),
);

/**
 * The discovery from a file. It is read again when its size, times or inode change, which finds files that are replaced
 * by renaming, and links that lead elsewhere; a file that cannot be used changes nothing.
 */
export const fileDiscovery = definePlugin({
  type: "file-discovery",
  kinds: ["discovery"],
  summary: "Takes the endpoints from a YAML or JSON file, which is read again when it changes.",
  parameters,
  create: ({ path, watchFile }, { clock }): EndpointDiscovery => new FileDiscovery(path, watchFile, clock),
});

class FileDiscovery implements EndpointDiscovery {
  readonly #path: string;
  readonly #isWatched: boolean;
  readonly #clock: Clock;
  #listener: DiscoveryListener | undefined;
  #print = "";
  #text: string | undefined;
  #problem: string | undefined;
  #timer: Timer | undefined;

  constructor(path: string, isWatched: boolean, clock: Clock) {
    this.#path = path;
    this.#isWatched = isWatched;
    this.#clock = clock;
  }

  async start(listener: DiscoveryListener): Promise<void> {
    this.#listener = listener;
    await this.#look();
  }

  close(): void {
    this.#listener = undefined;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const print = await fingerprint(this.#path);
    if (print !== this.#print || print === "") await this.#read(print);
    if (this.#listener !== undefined && this.#isWatched)
      this.#timer = this.#clock.after(lookMs, () => void this.#look());
  }

  async #read(print: string): Promise<void> {
    const result = await readText(this.#path);
    // Written to while it was read: what was read may be half of it, so the next look reads it again.
    const isWhole = (await fingerprint(this.#path)) === print;
    if (!isWhole && this.#isWatched) return;
    this.#print = print;
    if (typeof result === "string") return this.#complain(result);
    // What is back as it was is told again only where something was wrong between.
    if (result.text === this.#text && this.#problem === undefined) return;
    const endpoints = parseEndpointList(result.text);
    if (typeof endpoints === "string") return this.#complain(endpoints);
    this.#text = result.text;
    this.#problem = undefined;
    this.#listener?.found(endpoints);
  }

  #complain(reason: string): void {
    if (reason === this.#problem) return;
    this.#problem = reason;
    const kept = this.#text === undefined ? "" : "; the endpoints of before are kept";
    this.#listener?.failed(`${this.#path}: ${reason}${kept}`);
  }
}

/** Empty where there is no file. */
async function fingerprint(path: string): Promise<string> {
  try {
    const { mtimeNs, ctimeNs, size, ino } = await stat(path, { bigint: true });
    return [mtimeNs, ctimeNs, size, ino].join(":");
  } catch {
    return "";
  }
}

async function readText(path: string): Promise<{ readonly text: string } | string> {
  try {
    await using handle = await open(path);
    const { size } = await handle.stat();
    if (size > maxBytes) return `expected at most ${maxBytes} bytes, got ${size}`;
    return { text: await handle.readFile("utf8") };
  } catch (error) {
    return whyUnreadable(error);
  }
}
