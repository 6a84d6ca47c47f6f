// How much of what was sent to a neighbour has not arrived. A browser tells only what it
// has not yet put into packets (bufferedAmount): a leaf or two vanish into the congestion
// window at once, however slow the line. So a question that nobody needs to look up goes
// behind a leaf, and when its answer is there, so is the leaf.

import type { Key } from "./wire";

/** The key of no object: its ASK is always answered with LOST (section 6 of peer/PROTOCOL.md). */
export const NO_OBJECT: Key = "0".repeat(16);
/** The first leaves are sounded one by one, then one in so long, or again all while the uplink is known to be no more than this. */
const FIRST = 4;
const EVERY_MS = 250;
const CLOSELY_BELOW_BYTES_PER_SEC = 1 << 20;

export class Sounding {
  /** Bytes sent that are not known to have arrived. */
  underWay = 0;
  private asked = 0; // bytes that the question under way will show to be there
  private count = 0;
  private askedMs = -Infinity;

  constructor(private readonly ask: () => void) {}

  /** A leaf was sent; the measured uplink is 0 while it is not known. */
  sent(bytes: number, uplinkBytesPerSec: number, nowMs: number): void {
    const closely = uplinkBytesPerSec > 0 ? uplinkBytesPerSec < CLOSELY_BELOW_BYTES_PER_SEC : this.count < FIRST;
    if (!closely && nowMs - this.askedMs < EVERY_MS) return;
    this.underWay += bytes;
    this.sound(nowMs);
  }

  /** The answer came; false if there was no question. */
  heard(nowMs: number): boolean {
    if (this.asked === 0) return false;
    this.underWay -= this.asked;
    this.asked = 0;
    this.sound(nowMs);
    return true;
  }

  private sound(nowMs: number): void {
    if (this.asked > 0 || this.underWay === 0) return;
    this.asked = this.underWay;
    this.askedMs = nowMs;
    this.count++;
    this.ask();
  }
}
