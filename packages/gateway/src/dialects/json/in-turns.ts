/** Work over large texts that gives the event loop a turn again and again, so that no turn takes long. */

/** Bodies of more bytes are read in turns: a text of this size takes one to three milliseconds. */
export const readAtOnceBytes = 524_288;

/** Does the work a part a turn. */
export async function inTurns<Result>(work: Generator<void, Result>): Promise<Result> {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
    await nextTurn();
  }
}

/** The next turn of the event loop, after what has arrived meanwhile. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
