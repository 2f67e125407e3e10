/** What the processes of an outbox trial call things. */

/** What a process of a trial is told. */
export interface OutboxEdgeOptions {
  readonly folder: string;
  /** Address of the cloud. */
  readonly cloud: string;
  /** When the trial began, ms since the Unix epoch. */
  readonly startedAt: number;
  /** Simulated milliseconds in a real one. */
  readonly factor: number;
  /** Numbers of the escalations that this process queues. */
  readonly first: number;
  readonly count: number;
  readonly detectors: number;
  readonly pictureBytes: number;
}

/** Image query by number. */
export function idOf(n: number): string {
  return `iq_${String(n).padStart(27, "0")}`;
}

/** Number of an image query or label. */
export function numberOf(id: string): number {
  return Number(id.slice(3));
}

/** The label of every tenth image query. */
export function labelOf(n: number): string {
  return `lb_${String(n).padStart(27, "0")}`;
}

/** The detector of an image query. */
export function detectorOf(n: number, detectors: number): string {
  return `det_${String(n % detectors).padStart(27, "0")}`;
}
