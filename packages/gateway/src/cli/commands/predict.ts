/** `spillway predict`: one question to a running gateway through `POST /predict`. */
import { readFile } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { callGateway, type ApiCall } from "../api-client.ts";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import { toSentence } from "../describe-error.ts";
import type { Terminal } from "../terminal.ts";

/** What the command line says; exactly one of the three inputs is there. */
export interface PredictCommandOptions {
  readonly url: string;
  readonly key?: string;
  readonly json?: boolean;
  readonly features?: readonly number[];
  readonly prompt?: string;
  readonly image?: string;
}

interface Prediction {
  readonly class_id: number;
  readonly confidence: number;
  readonly label?: string;
  readonly model_name: string;
  readonly model_version: string;
  readonly latency_ms: number;
  readonly mock?: boolean;
}

const pictureTypes: Readonly<Record<string, string>> = {
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".png": "image/png",
  ".webp": "image/webp",
};

/** Prints the class, its confidence and who answered. */
export async function predict(
  model: string,
  options: PredictCommandOptions,
  terminal: Terminal,
): Promise<number> {
  const call = await toCall(model, options, terminal.workingDirectory);
  const answer = (await callGateway(options, call)) as Prediction;
  terminal.print(options.json === true ? `${JSON.stringify(answer)}\n` : describe(answer));
  return exitCodes.ok.code;
}

async function toCall(model: string, options: PredictCommandOptions, folder: string): Promise<ApiCall> {
  const { features, prompt, image } = options;
  if (image !== undefined) {
    const path = `/predict?model_name=${encodeURIComponent(model)}`;
    return { method: "POST", path, ...(await readPicture(resolve(folder, image))) };
  }
  const input = features === undefined ? { prompt } : { features };
  return {
    method: "POST",
    path: "/predict",
    contentType: "application/json",
    body: JSON.stringify({ ...input, model_name: model }),
  };
}

async function readPicture(file: string): Promise<Pick<ApiCall, "body" | "contentType">> {
  const contentType = pictureTypes[extname(file).toLowerCase()];
  if (contentType === undefined) {
    throw new CommandError(`${file}: expected a picture: ${Object.keys(pictureTypes).join(", ")}`);
  }
  try {
    return { contentType, body: new Uint8Array(await readFile(file)) };
  } catch (cause) {
    throw new CommandError(toSentence(cause), { cause });
  }
}

function describe(answer: Prediction): string {
  const { class_id: classId, confidence, label } = answer;
  const what = label === undefined || label === "" ? `class ${classId}` : `${label} (class ${classId})`;
  const who = `${answer.model_name} ${answer.model_version}${answer.mock === true ? ", a mock" : ""}`;
  return `${what}, confidence ${confidence.toFixed(4)}, by ${who} in ${answer.latency_ms.toFixed(1)} ms\n`;
}
