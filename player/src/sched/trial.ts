// Finds out with one leaf whether an uplink of which nothing is known carries anything in
// time; the twin of trial.go.

import { BUSY, LEAF_SIZE } from "../wire";
import { MAX_RATE, MIN_RATE, TRIAL_AGAIN_MS, TRIAL_DOUBLINGS, TRIAL_MS, TRIAL_PATIENCE, TRIALS_LOST } from "./config";
import type { Core } from "./core";
import { Do } from "./event";
import { mix32 } from "./mix32";
import type { Neighbour } from "./neighbour";
import { NOBODY } from "./object";
import { hardDeadlineMs, nextUp } from "./rescue";
import { filterUploads, refuse, uplink } from "./upload";

/** The leaf that shows it. */
export interface Trial {
  leafTo: number; // who is sent it; NOBODY: none is on its way
  bytes: number;
  sinceMs: number;
  lost: number; // times in a row that nothing of it arrived
  passed: boolean; // the last one was through in time
  failed: number; // in a row
  with: number; // who was told of something although we offer nothing, so that it asks
  withMs: number; // when
}

export function noTrial(): Trial {
  return { leafTo: NOBODY, bytes: 0, sinceMs: 0, lost: 0, passed: false, failed: 0, with: NOBODY, withMs: 0 };
}

/** Whether our uplink is known to carry no leaf in time: we offer nothing. */
export function silent(c: Core): boolean {
  return c.uploads.rate > 0 && LEAF_SIZE * 1000 > uplink(c) * 2 * c.cfg.queueMs;
}

/** Whether the uplink has not shown that it carries a leaf in time, or has shown that it does not. */
export function careful(c: Core): boolean {
  return !c.uploads.trial.passed && (c.uploads.rate === 0 || silent(c));
}

/**
 * Whether a leaf may be sent while we are careful: one at a time, and as long as we are
 * late ourselves only for who has waited long.
 */
export function mayTry(c: Core): boolean {
  const u = c.uploads;
  if (u.trial.leafTo !== NOBODY) return false;
  const next = nextUp(c);
  const late = next !== undefined && c.nowMs >= hardDeadlineMs(c, next);
  return !late || c.nowMs - u.queue[0].queuedMs >= c.cfg.progressMs;
}

export function begin(t: Trial, n: Neighbour, bytes: number, nowMs: number): void {
  t.leafTo = n.id;
  t.bytes = bytes;
  t.sinceMs = nowMs;
}

/** Looks whether the leaf is through. */
export function judge(c: Core, n: Neighbour): void {
  const t = c.uploads.trial;
  const took = c.nowMs - t.sinceMs;
  if (n.id !== t.leafTo || (n.buffered > 0 && took < TRIAL_PATIENCE * c.cfg.progressMs)) return;
  if (n.buffered >= t.bytes) { // nothing of it: the neighbour is dead, unless the next one looks dead too
    t.leafTo = NOBODY;
    if (++t.lost >= TRIALS_LOST) fail(c, MIN_RATE);
  } else if (t.bytes < Math.trunc(LEAF_SIZE / 2)) {
    t.leafTo = NOBODY; // too little to tell
  } else if (took > 2 * c.cfg.queueMs) {
    fail(c, Math.trunc(((t.bytes - n.buffered) * 1000) / took));
  } else {
    if (silent(c)) c.uploads.rate = 0;
    c.uploads.trial = { ...noTrial(), passed: true };
  }
}

/** Books that the uplink is too slow to offer anything, and says no to all who wait. */
export function fail(c: Core, rate: number): void {
  const u = c.uploads;
  u.trial = { ...noTrial(), failed: u.trial.failed + 1 };
  u.rate = Math.min(Math.max(rate, MIN_RATE), MAX_RATE);
  u.sampledMs = c.nowMs;
  filterUploads(c, (q) => {
    refuse(c, q.n, q.o, q.piece, BUSY);
    return false;
  });
}

/**
 * Tells one neighbour of the newest object that we hold something of, so that it asks for
 * it: lines get better, or were busy with something else.
 */
export function tryAgain(c: Core): void {
  const u = c.uploads;
  const t = u.trial;
  if (t.leafTo !== NOBODY) return;
  if (t.with !== NOBODY && c.nowMs - t.withMs >= TRIAL_MS) { // it did not ask
    t.with = NOBODY;
    u.sampledMs = c.nowMs;
  }
  const waitMs = TRIAL_AGAIN_MS * 2 ** Math.min(t.failed, TRIAL_DOUBLINGS);
  if (t.with !== NOBODY || c.neighbours.length === 0 || c.nowMs - u.sampledMs < waitMs) return;
  const o = c.objects.findLast((o) => o.lacking < o.pieces);
  if (!o) return;
  const n = c.neighbours[mix32((c.cfg.seed ^ o.sequence) >>> 0) % c.neighbours.length];
  t.with = n.id;
  t.withMs = c.nowMs;
  c.do(Do.SendHave, { neighbour: n.id, object: o.id });
}
