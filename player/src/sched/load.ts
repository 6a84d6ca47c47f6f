// Notices that the machine is busy, because it is told late that time passed; the twin of
// load.go. There our own small messages are what makes leaves late, to everybody's harm:
// each costs both ends as much as the packets of a third of a leaf.

import { ASLEEP_MS, BUSY_FACTOR, BUSY_MAX_MS, CALM_US, LATE_TICKS } from "./config";
import type { Core } from "./core";
import { TICK_MS } from "./event";

/** Books how late a tick came. Who slept was not busy. */
export function ticked(c: Core): void {
  const late = Math.max(c.nowMs - c.tickMs - TICK_MS, 0);
  if (late < ASLEEP_MS) c.lateUs += Math.trunc((late * 1000 - c.lateUs) / LATE_TICKS);
  c.tickMs = c.nowMs;
}

/** How long news waits for other news because the machine is busy. */
export function busyMs(c: Core): number {
  return Math.min(Math.trunc((Math.max(c.lateUs - CALM_US, 0) * BUSY_FACTOR) / 1000), BUSY_MAX_MS);
}
