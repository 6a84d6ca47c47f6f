// Shares out the downlink: what is due later must not take the line from what is due
// first. A viewer that asked nobody but the CDN, for one object after the other, would be
// in time; what is asked beyond that must leave it so. The twin of budget.go.

import { AMPLE_HALVES, USUAL_WAIT_MS } from "./config";
import type { Core } from "./core";
import type { SwarmObject } from "./object";
import { marginMs, waitMs } from "./rescue";

/** What may still be asked for, as time that our line needs for it. */
export interface Budget {
  us: number; // for objects due at deadlineMs or later
  afterUs: number; // likewise, for those due later
  deadlineMs: number;
  missingUs: number; // of the objects so far
  onWayUs: number; // of the objects to come
}

const UNLIMITED_US = 2 ** 50;

export function newBudget(): Budget {
  return { us: UNLIMITED_US, afterUs: UNLIMITED_US, deadlineMs: 0, missingUs: 0, onWayUs: 0 };
}

/** Begins a pass over the wanted objects. */
export function startBudget(c: Core): void {
  c.budget = newBudget();
  for (const o of c.wanted) c.budget.onWayUs += o.onWay * c.cdn.leafUs;
}

/**
 * Goes on to the next wanted object and tells whether it may be asked for at all. The
 * objects before it can be had from the CDN in time if the line carries all that they
 * miss and what is on its way of later ones; the rest is what may be asked.
 */
export function budgetFor(c: Core, o: SwarmObject): boolean {
  const b = c.budget;
  if (o.deadlineMs > b.deadlineMs) {
    let after = b.afterUs;
    if (o.leaves * c.cdn.leafUs * AMPLE_HALVES <= (o.deadlineMs - b.deadlineMs) * 2000) {
      // The line has room as long as a request for what is due first waits for an answer.
      after = Math.max(after, (c.cdn.waitMs - USUAL_WAIT_MS) * 1000 - b.missingUs - b.onWayUs);
    }
    b.us = Math.min(b.us, after);
    b.deadlineMs = o.deadlineMs;
  }
  b.missingUs += o.missing * c.cdn.leafUs;
  b.onWayUs -= o.onWay * c.cdn.leafUs;
  if (o.fetchBlockedMs <= c.nowMs && c.cdn.blockedMs <= c.nowMs) {
    const spareMs = Math.min(o.deadlineMs - marginMs(c, o) - waitMs(c, o) - c.nowMs, Math.trunc(UNLIMITED_US / 1000));
    b.afterUs = Math.min(b.afterUs, spareMs * 1000 - b.missingUs - b.onWayUs);
  }
  return affords(c, o);
}

/** Whether a piece of the object may be asked for. */
export function affords(c: Core, o: SwarmObject): boolean {
  return c.budget.us >= o.each * c.cdn.leafUs;
}

/** Books that one is asked for. */
export function spend(c: Core, o: SwarmObject): void {
  c.budget.us -= o.each * c.cdn.leafUs;
}
