/** The digits model asked about its held-out digits under noise: confidences of a real model, with the truth beside. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SyntheticAnswer } from "../../test/harness/synthetic-detectors.ts";
import type { Random } from "../load/random.ts";

/** Draws answers: a digit of the held-out ones at random, every grey value moved by Gaussian noise of its own. */
export interface NoisyDigits {
  draw(count: number, random: Random): Promise<SyntheticAnswer[]>;
  close(): Promise<void>;
}

interface HeldOutDigits {
  readonly inputs: readonly (readonly number[])[];
  readonly labels: readonly number[];
}

const WHITE = 16;
const CLASSES = 10;
const BATCH = 1000;

/** Loads the model and the digits of a folder like `models/digits`. `noise` is a standard deviation in grey values of 16. */
export async function openNoisyDigits(folder: string, noise: number): Promise<NoisyDigits> {
  // The runtime is loaded by the figure that needs it alone.
  const { InferenceSession, Tensor } = await import("onnxruntime-node");
  const session = await InferenceSession.create(join(folder, "1", "model.onnx"), { intraOpNumThreads: 1 });
  const digits = JSON.parse(await readFile(join(folder, "heldout.json"), "utf8")) as HeldOutDigits;
  const batch = async (count: number, random: Random): Promise<SyntheticAnswer[]> => {
    const rows = Array.from({ length: count }, () => Math.floor(random() * digits.inputs.length));
    const pixels = Float32Array.from(rows.flatMap((row) => noisy(digits.inputs[row] ?? [], noise, random)));
    const { scores } = await session.run({
      pixels: new Tensor("float32", pixels, [count, pixels.length / count]),
    });
    const values = scores?.data as Float32Array;
    return rows.map((row, place) =>
      answerOf(values.subarray(place * CLASSES, (place + 1) * CLASSES), digits.labels[row]),
    );
  };
  return {
    async draw(count, random) {
      const answers: SyntheticAnswer[] = [];
      while (answers.length < count)
        for (const answer of await batch(Math.min(BATCH, count - answers.length), random))
          answers.push(answer);
      return answers;
    },
    close: () => session.release(),
  };
}

function answerOf(scores: Float32Array, label: number | undefined): SyntheticAnswer {
  let best = 0;
  scores.forEach((score, digit) => {
    if (score > (scores[best] ?? 0)) best = digit;
  });
  const agreed = best === label;
  return { confidence: Math.min(1, scores[best] ?? 0), agreed, truth: agreed ? 1 : 0 };
}

function noisy(pixels: readonly number[], noise: number, random: Random): number[] {
  return pixels.map((value) => {
    const moved = value + noise * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.min(WHITE, Math.max(0, moved));
  });
}
