// Whether a leaf has arrived. A browser tells only what it has not yet put into packets
// (bufferedAmount): a leaf vanishes into the congestion window at once, however slow the
// line. So a question that nobody needs to look up goes behind the leaf, and when its
// answer is there, so is the leaf.

import type { Key } from "./wire";

/** The key of no object: its ASK is always answered with LOST (section 6 of peer/PROTOCOL.md). */
export const NO_OBJECT: Key = "0".repeat(16);

export class Sounding {
  /** Bytes sent that are not known to have arrived. */
  underWay = 0;

  constructor(private readonly ask: () => void) {}

  /** A leaf was sent of which that must be known. */
  sent(bytes: number): void {
    if (this.underWay === 0) this.ask();
    this.underWay += bytes;
  }

  /** The answer came; false if there was no question. */
  heard(): boolean {
    if (this.underWay === 0) return false;
    this.underWay = 0;
    return true;
  }
}
