/** Plenty, tight or scarce: thresholds that are left lower than they are entered, and only after a while. */
import type { ScarcityRegime } from "../../contracts/scarcity.ts";

/**
 * Strain at which a regime is entered, and below which it is left. Servers at two thirds are full once half as many more
 * requests come, which is what `plenty` promises; at 1 there is more work than they can do. The distance between entering
 * and leaving is wider than the noise that is left after smoothing.
 */
const thresholds = { tight: { enter: 2 / 3, leave: 0.55 }, scarce: { enter: 1, leave: 0.85 } } as const;

/** How long the strain has to be above, or below, before the regime changes, ms. Up at once, down with care. */
const dwellMs = { up: 500, down: 10_000 };

/** The regime of one model. */
export class RegimeSwitch {
  #regime: ScarcityRegime = "plenty";
  #since: number;
  /** Since when another regime is due, and which. */
  #due: { readonly regime: ScarcityRegime; readonly at: number } | undefined;

  constructor(now: number) {
    this.#since = now;
  }

  get regime(): ScarcityRegime {
    return this.#regime;
  }

  /** When it became what it is. */
  get since(): number {
    return this.#since;
  }

  /** Hears of the strain: 0 nothing to do, 1 full. */
  update(strain: number, now: number): void {
    const wanted = this.#wanted(strain);
    if (wanted === this.#regime) {
      this.#due = undefined;
      return;
    }
    // On its way up or down it may change its mind which regime is next, without waiting anew.
    const isSameWay =
      this.#due !== undefined && isAbove(this.#due.regime, this.#regime) === isAbove(wanted, this.#regime);
    const at = isSameWay ? (this.#due?.at ?? now) : now;
    this.#due = { regime: wanted, at };
    if (now - at < (isAbove(wanted, this.#regime) ? dwellMs.up : dwellMs.down)) return;
    this.#regime = wanted;
    this.#since = now;
    this.#due = undefined;
  }

  #wanted(strain: number): ScarcityRegime {
    const { tight, scarce } = thresholds;
    const isScarce = strain >= (this.#regime === "scarce" ? scarce.leave : scarce.enter);
    if (isScarce) return "scarce";
    const isTight = strain >= (this.#regime === "plenty" ? tight.enter : tight.leave);
    return isTight ? "tight" : "plenty";
  }
}

const order: readonly ScarcityRegime[] = ["plenty", "tight", "scarce"];

function isAbove(one: ScarcityRegime, other: ScarcityRegime): boolean {
  return order.indexOf(one) > order.indexOf(other);
}
