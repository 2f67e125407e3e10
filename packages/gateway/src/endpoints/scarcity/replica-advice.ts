/**
 * How many servers there should be. The rule is that of Kubernetes' Horizontal Pod Autoscaler (wanted = load / target,
 * rounded up; a tolerance of a tenth; at most twice as many, or four more, at once; the highest advice of the last five
 * minutes before going down), with a load that counts what waits.
 */

/** Share of a server that is to be in use: where `plenty` ends. */
const targetUse = 2 / 3;
/** So much more or less load than wanted changes nothing. */
const tolerance = 0.1;
/** How long advice to have fewer has to hold, ms. */
const downMs = 300_000;
/** How long advice to have more stands though less would do, ms: so that it does not go to and fro between two numbers. */
const upMs = 60_000;
const bucketMs = 10_000;
/** How long there has to be no work at all before no server is wanted, ms. */
const idleMs = 600_000;

/** The advice about one model. */
export class ReplicaAdvice {
  /** Highest advice by ten seconds, the newest last. */
  readonly #highest: { readonly at: number; wanted: number }[] = [];
  #busyAt: number;

  constructor(now: number) {
    this.#busyAt = now;
  }

  /**
   * Hears of the load: how many full servers it would fill, those that wait included; 0 is no work. Returns how many
   * servers there should be in place of `replicas`.
   */
  update(load: number, replicas: number, now: number): number {
    if (load > 0) this.#busyAt = now;
    this.#remember(this.#atOnce(load, replicas, now), now);
    // Of what was advised longer ago, no more than there are is kept: going up is for the present alone.
    return Math.max(this.#highestSince(now - upMs), Math.min(this.#highestSince(now - downMs), replicas));
  }

  #highestSince(since: number): number {
    let highest = 0;
    for (const { at, wanted } of this.#highest) if (at >= since) highest = Math.max(highest, wanted);
    return highest;
  }

  #atOnce(load: number, replicas: number, now: number): number {
    if (load === 0) return now - this.#busyAt >= idleMs ? 0 : Math.min(1, Math.max(replicas, 0));
    if (replicas > 0 && Math.abs(load / (replicas * targetUse) - 1) <= tolerance) return replicas;
    const wanted = Math.max(1, Math.ceil(load / targetUse - 1e-9));
    return Math.min(wanted, Math.max(2 * replicas, replicas + 4));
  }

  #remember(wanted: number, now: number): void {
    const last = this.#highest.at(-1);
    if (last !== undefined && now - last.at < bucketMs) last.wanted = Math.max(last.wanted, wanted);
    else this.#highest.push({ at: now, wanted });
    while ((this.#highest[0]?.at ?? now) < now - downMs) this.#highest.shift();
  }
}
