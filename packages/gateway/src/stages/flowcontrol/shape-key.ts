/** Which shape keys of a band may go now: asked once for all requests that have them. */

/** What the present look at a line is for. One object for each line, read by all its shape keys. */
export class Selection {
  fits: ((shapeKey: string, priority: number) => boolean) | undefined;
  /** Nothing but this goes: the first of a call has been chosen. */
  only: string | undefined;
  /** Goes up with each look. */
  look = 0;

  begin(fits: Selection["fits"]): void {
    this.look++;
    this.fits = fits;
    this.only = undefined;
  }

  end(): void {
    this.fits = undefined;
    this.only = undefined;
  }
}

/** A shape key, or a model's name, for which requests of one band wait. */
export class ShapeKey {
  readonly text: string;
  /** Requests of the band that have it. */
  waiting = 0;
  /** Whether they might go when its band last looked at all flows. */
  wasOpen = true;
  readonly #priority: number;
  readonly #selection: Selection;
  #look = -1;
  #fits = true;

  constructor(text: string, priority: number, selection: Selection) {
    this.text = text;
    this.#priority = priority;
    this.#selection = selection;
  }

  /** May its requests go, as far as this look is concerned. */
  get isOpen(): boolean {
    const { only, fits, look } = this.#selection;
    if (only !== undefined) return only === this.text;
    if (fits === undefined) return true;
    if (this.#look !== look) {
      this.#look = look;
      this.#fits = fits(this.text, this.#priority);
    }
    return this.#fits;
  }
}
