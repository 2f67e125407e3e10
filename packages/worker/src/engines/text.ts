/** Sentiment of English texts by a word list: class 0 negative, 1 positive, 2 neutral. */
import { decodeBytesElements } from "@spillway/protocol/tensors";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { floatTensor } from "../tensor.ts";
import type { Engine } from "./engine.ts";
import { requireTensor } from "./engine.ts";
import { scoreSentiment } from "./sentiment.ts";

const decoder = new TextDecoder();

/**
 * The text engine: input `prompt` BYTES [-1], one UTF-8 text an element; output `scores` FP32 [-1,3],
 * the shares of negative, positive and neutral, which add up to 1.
 * @param inputName the input's name, `prompt` by default
 */
export function createTextEngine(inputName = "prompt"): Engine {
  const input: TensorSpec = { name: inputName, datatype: "BYTES", shape: [-1] };
  const output: TensorSpec = { name: "scores", datatype: "FP32", shape: [-1, 3] };
  return {
    kind: "text",
    platform: "spillway_text",
    inputs: [input],
    outputs: [output],
    dynamicRows: true,
    infer: (inputs) => Promise.resolve([classify(requireTensor(inputs, inputName))]),
    close: () => Promise.resolve(),
  };
}

function classify(prompts: Tensor): Tensor {
  const texts = decodeBytesElements(prompts.data) ?? [];
  const scores = new Float32Array(texts.length * 3);
  texts.forEach((text, row) => scores.set(scoreSentiment(decoder.decode(text)), row * 3));
  return floatTensor("scores", [texts.length, 3], scores);
}
