// Measures our uplink by what leaves the send buffers; the twin of uplink.go.

import { LEAF_SIZE } from "../wire";
import { CRAWL_BUSY_BYTES, MAX_RATE, MIN_RATE, UPLINK_BUSY_BYTES, UPLINK_HOPE_MS, UPLINK_SAMPLE_MS } from "./config";
import type { Core } from "./core";
import { TICK_MS } from "./event";
import type { Neighbour } from "./neighbour";
import { careful, doubt, findTaker, judge } from "./trial";

/** Books how much the transport still holds for a neighbour. */
export function buffered(c: Core, n: Neighbour, bytes: number): void {
  if (waiting(c) === 0) restartMeasurement(c);
  const drained = n.buffered - Math.max(bytes, 0);
  const stood = n.slow || clogged(c, n); // what stood may go all at once, which says nothing
  if (drained > 0 || n.buffered === 0) n.drainedMs = c.nowMs;
  if (n.buffered === 0) n.filledMs = c.nowMs;
  n.buffered -= drained;
  n.slow &&= n.buffered > 0;
  if (drained <= 0) return;
  if (!stood) {
    n.drained += drained;
    c.uploads.drained += drained;
    raiseUplink(c);
  }
  judge(c, n);
}

/**
 * Whether a neighbour takes nothing any more: it died, or does not want to read. It
 * must not hold up the others, nor speak for our uplink.
 */
export function clogged(c: Core, n: Neighbour): boolean {
  return n.buffered > 0 && c.nowMs - n.drainedMs >= c.cfg.progressMs;
}

/** What the send buffers that move hold in all. */
export function waiting(c: Core): number {
  let total = 0;
  for (const n of c.neighbours) if (n.buffered > 0 && !n.slow && !clogged(c, n)) total += n.buffered;
  return total;
}

/**
 * Takes a sample whenever the send buffers held busyBytes for UPLINK_SAMPLE_MS: only a
 * busy uplink shows its rate. Less than that is on its way for a round trip on any uplink. Where nothing drained there was no uplink.
 */
export function measureUplink(c: Core): void {
  const u = c.uploads;
  const tried = c.neighbour(u.trial.leafTo);
  if (tried) judge(c, tried);
  const elapsed = c.nowMs - u.sinceMs;
  if (careful(c)) {
    restartMeasurement(c);
    findTaker(c);
  } else if (waiting(c) < busyBytes(c)) {
    restartMeasurement(c);
    hope(c);
  } else if (elapsed >= UPLINK_SAMPLE_MS && u.drained > 0) {
    findSlow(c);
    sample(c, elapsed);
    restartMeasurement(c);
    doubt(c);
  }
}

/**
 * Marks neighbours that took less than a quarter of an equal share of what was sent
 * while they had something to take: they read slowly, and the send buffers must not fill
 * with what is for them.
 */
function findSlow(c: Core): void {
  const u = c.uploads;
  const busy = c.neighbours.filter((n) => n.buffered > 0 || n.drained > 0).length;
  for (const n of c.neighbours) {
    n.slow = n.buffered > 0 && n.filledMs <= u.sinceMs && n.drained * busy * 4 < u.drained;
  }
}

/**
 * Lets an estimate that has become too low recover: buffers that ran empty early are a
 * lower bound. An uplink believed slow is never asked for enough to be busy long.
 */
function raiseUplink(c: Core): void {
  const u = c.uploads;
  const elapsed = Math.max(c.nowMs - u.sinceMs, TICK_MS); // the transport takes the first leaf in no time
  if (waiting(c) > 0 || u.rate === 0 || careful(c) || Math.trunc((u.drained * 1000) / elapsed) <= u.rate) return;
  sample(c, elapsed);
  restartMeasurement(c);
}

function restartMeasurement(c: Core): void {
  c.uploads.sinceMs = c.nowMs;
  c.uploads.drained = 0;
  for (const n of c.neighbours) n.drained = 0;
}

/**
 * Whether our uplink is known to be so slow that large pieces, or any, would always come
 * too late.
 */
function crawls(c: Core): boolean {
  return c.uploads.rate > 0 && c.uploads.rate * 2 * c.cfg.queueMs < 4 * LEAF_SIZE * 1000;
}

/** What must wait all the time for the uplink to count as busy. */
export function busyBytes(c: Core): number {
  return crawls(c) ? CRAWL_BUSY_BYTES : UPLINK_BUSY_BYTES;
}

/**
 * Raises an estimate by which we offer nothing, and so are asked for nothing and measure
 * nothing, until it is tried again.
 */
function hope(c: Core): void {
  const u = c.uploads;
  if (!crawls(c) || c.nowMs - u.sampledMs < UPLINK_HOPE_MS) return;
  u.rate += Math.trunc(u.rate / 8);
  u.sampledMs = c.nowMs;
}

function sample(c: Core, elapsedMs: number): void {
  const u = c.uploads;
  u.sampledMs = c.nowMs;
  const rate = Math.max(Math.min(Math.trunc((u.drained * 1000) / elapsedMs), MAX_RATE), MIN_RATE);
  if (u.rate === 0) u.rate = rate;
  u.rate = Math.trunc((u.rate * 3 + rate) / 4);
}
