/** Requests that keep coming while a test does something else. */

/** A running load. */
export interface Load<Answer> {
  /** What has been answered so far, in the order of the answers. */
  readonly answers: readonly Answer[];
  /** Lets what runs end; gives all answers. Rejects with the first error that `ask` threw. */
  stop(): Promise<readonly Answer[]>;
}

/** Calls `ask` again and again, `width` at a time, each with its own number from 0, until stopped or until one throws. */
export function startLoad<Answer>(width: number, ask: (turn: number) => Promise<Answer>): Load<Answer> {
  const answers: Answer[] = [];
  let going = true;
  let turn = 0;
  const one = async (): Promise<void> => {
    while (going) answers.push(await ask(turn++));
  };
  const all = Promise.all(Array.from({ length: width }, one));
  all.catch(() => (going = false));
  return {
    answers,
    async stop() {
      going = false;
      await all;
      return answers;
    },
  };
}
