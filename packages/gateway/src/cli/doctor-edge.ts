/** `spillway doctor` and the edge endpoint: can its folder be written, and does the cloud answer and take the token. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { isCloudFailure, type CloudFailure } from "../contracts/cloud.ts";
import type { EdgeCloudOptions } from "../contracts/edge-options.ts";
import { systemClock } from "../core/clock.ts";
import { createCloud } from "../edge/cloud/create-cloud.ts";
import { askServer } from "../endpoints/ask-server.ts";
import { createConnectionFactory } from "../stages/upstream/server-connections.ts";
import { toSentence } from "./describe-error.ts";
import type { Finding } from "./doctor-checks.ts";
import { packageVersion } from "./version.ts";

/** Longer than the cloud takes to say who the token's owner is, ms. */
const patienceMs = 8_000;
const silent = (): void => undefined;

/** Whether the data folder can be written, or made where it is not there yet. */
export async function checkDataFolder(folder: string): Promise<Finding> {
  const name = "data folder";
  try {
    const place = await nearestFolder(folder);
    await access(place, constants.W_OK);
    const what = place === folder ? "can be written" : "is made when there is something to keep";
    return { name, status: "ok", message: `${folder} ${what}` };
  } catch (error) {
    const message = `${folder} cannot be written, so that nothing is kept for the cloud: ${toSentence(error)}`;
    return {
      name,
      status: "fail",
      message,
      advice: "set SPILLWAY_DATA to a folder on a disk that can be written",
    };
  }
}

async function nearestFolder(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch (error) {
    const above = dirname(folder);
    if (above === folder || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return nearestFolder(above);
  }
}

/** Asks the cloud whose the token is. It is a warning only where it cannot be reached: the gateway starts without it. */
export async function checkCloud(options: EdgeCloudOptions): Promise<Finding> {
  const name = "cloud";
  const logger = { error: silent, warn: silent, info: silent, debug: silent };
  try {
    const connect = createConnectionFactory({ clock: systemClock });
    const version = packageVersion();
    const cloud = createCloud({ options, connect, ask: askServer, clock: systemClock, logger, version });
    try {
      const found = await cloud.me({ timeoutMs: patienceMs });
      if (isCloudFailure(found)) return describeFailure(options, found);
      const whose = typeof found["email"] === "string" ? `, the token is that of ${found["email"]}` : "";
      return { name, status: "ok", message: `${cloud.address} answers${whose}` };
    } finally {
      cloud.close();
    }
  } catch (error) {
    return { name, status: "fail", message: toSentence(error), advice: "correct edge.cloud" };
  }
}

function describeFailure({ origin, token }: EdgeCloudOptions, { kind, detail }: CloudFailure): Finding {
  const name = "cloud";
  if (kind === "unauthorized") {
    if (token === undefined)
      return { name, status: "ok", message: `${origin} answers; callers bring their own tokens` };
    const advice = "set edge.cloud.token to one that the cloud knows";
    return { name, status: "fail", message: `${origin} does not take the token: ${detail}`, advice };
  }
  const advice =
    "let this machine reach edge.cloud.origin, or correct it; until then cameras are answered here, and what the cloud must get waits on the disk";
  return { name, status: "warn", message: `${origin}: ${detail}`, advice };
}
