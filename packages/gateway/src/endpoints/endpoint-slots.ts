/** Small numbers for endpoints, so that what is kept of each can be an array: the lowest that is free. */

const taken: boolean[] = [];

/** A number that no other endpoint of the process has until it is given back. */
export function takeSlot(): number {
  const free = taken.indexOf(false);
  const slot = free === -1 ? taken.length : free;
  taken[slot] = true;
  return slot;
}

/** The number may be had again. Once for each `takeSlot`. */
export function giveSlotBack(slot: number): void {
  taken[slot] = false;
}
