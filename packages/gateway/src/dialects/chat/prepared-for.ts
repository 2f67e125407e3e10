/** What a thread has made of a large body for one server, kept until it is sent. */
import { isFailure, type Failure } from "../../core/errors.ts";
import type { AttemptTarget } from "../../core/forward.ts";

/** Keeps the last result: attempts at servers that are asked alike share it. */
export class PreparedFor<Made extends object> {
  #target: AttemptTarget | undefined;
  #made: Made | Failure | undefined;

  /** Runs the task unless its result is there. The promise never rejects. */
  prepare(
    { dialect, model, serves, make }: AttemptTarget,
    run: (target: AttemptTarget) => Promise<Made | Failure>,
  ): Promise<void> | undefined {
    const target: AttemptTarget = { dialect, model, serves, ...(make === undefined ? {} : { make }) };
    if (this.#made !== undefined && this.#isFor(target)) return undefined;
    return run(target).then((made) => {
      this.#target = target;
      this.#made = made;
    });
  }

  /** Undefined where nothing was made for such a server. A failure is told once: a later attempt may fare better. */
  take(target: AttemptTarget): Made | Failure | undefined {
    const made = this.#made;
    if (made === undefined || !this.#isFor(target)) return undefined;
    if (isFailure(made)) this.#made = undefined;
    return made;
  }

  #isFor({ dialect, model, serves, make }: AttemptTarget): boolean {
    const kept = this.#target;
    return (
      kept?.dialect === dialect &&
      kept.model === model &&
      kept.make === make &&
      kept.serves.length === serves.length &&
      kept.serves.every((each, index) => each === serves[index])
    );
  }
}
