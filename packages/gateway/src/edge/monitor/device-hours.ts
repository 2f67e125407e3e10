/** In which hours this device was up, and which of them the cloud has been told of. */
import { kept } from "./detector-activity.ts";

/** What is known of an hour. */
interface DeviceHour {
  /** Seconds. */
  up: number;
  reported: boolean;
}

/** Hours of the device, as many as detectors keep. */
export class DeviceHours {
  readonly #hours = new Map<number, DeviceHour>();
  #newest = 0;

  /** Takes a counter: `up` in seconds, `reported` when it is not 0. Others are left out. */
  add(hour: number, name: string, value: number): void {
    if (name !== "up" && name !== "reported") return;
    this.#newest = Math.max(this.#newest, hour);
    if (hour <= this.#newest - kept.hours) return;
    let entry = this.#hours.get(hour);
    if (entry === undefined) this.#hours.set(hour, (entry = { up: 0, reported: false }));
    if (name === "up") entry.up += value;
    else if (value > 0) entry.reported = true;
    for (const each of this.#hours.keys()) if (each <= this.#newest - kept.hours) this.#hours.delete(each);
  }

  /** Hours before `hour` in which it was up and that were not reported, oldest first; at most those of a day. */
  unreported(hour: number): number[] {
    return [...this.#hours]
      .filter(([each, { up, reported }]) => each < hour && each >= hour - 24 && up > 0 && !reported)
      .map(([each]) => each)
      .sort((a, b) => a - b);
  }
}
