/** Text whose words are numbered, so that a reader sees what was lost, doubled or moved. */
import { mix } from "../random.ts";

const ASCII =
  "amber birch cedar delta ember fjord grove haven inlet jetty knoll larch maple north ocean pearl".split(
    " ",
  );
/** Two, three and four bytes in UTF-8, a joined emoji and a combining mark: what careless splitting breaks. */
const UNICODE = "größe naïve señor čas日 привет שלום नमस्ते 日本 中文字 한국 ไทย 🦙 🚀é 👩‍🔬 ó́x ünïcødé".split(
  " ",
);

/** Which words an answer is made of. */
export type Alphabet = "ascii" | "unicode";

/** The word at a place: `cedar0`, ` north1`, ` pearl2` … The white space stands before it. */
export function wordAt(index: number, seed: number, alphabet: Alphabet = "ascii"): string {
  const words = alphabet === "ascii" ? ASCII : UNICODE;
  const word = words[mix(seed + index) & 15] ?? "word";
  return index === 0 ? `${word}0` : ` ${word}${index}`;
}

/** The first `count` words of a seed. */
export function textOf(count: number, seed: number, alphabet: Alphabet = "ascii"): string {
  let text = "";
  for (let at = 0; at < count; at++) text += wordAt(at, seed, alphabet);
  return text;
}

/** What is wrong with a text of numbered words. */
export interface WordReport {
  /** Words found. */
  readonly words: number;
  /** Whether they are numbered 0, 1, 2 … without a gap, a repetition or a stranger. */
  readonly intact: boolean;
  /** The first word out of place. */
  readonly broken?: string;
}

/** Reads numbered words: `checkWords("cedar0 north1").intact` is true. */
export function checkWords(text: string): WordReport {
  const words = text.split(" ").filter((word) => word !== "");
  const at = words.findIndex(
    (word, index) => !word.endsWith(String(index)) || /\d$/.test(word.slice(0, -String(index).length)),
  );
  const broken = words[at];
  return broken === undefined
    ? { words: words.length, intact: true }
    : { words: words.length, intact: false, broken };
}
