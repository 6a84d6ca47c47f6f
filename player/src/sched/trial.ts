// Finds out with one leaf whether an uplink of which nothing is known carries anything in
// time; the twin of trial.go.

import { BUSY, LEAF_SIZE } from "../wire";
import { announceTo } from "./announce";
import {
  MAX_RATE,
  MIN_RATE,
  START_MS,
  TRIAL_AGAIN_MS,
  TRIAL_DOUBLINGS,
  TRIAL_OBJECTS,
  TRIAL_PATIENCE,
  TRIALS_LOST,
  TRIALS_SLOW,
} from "./config";
import type { Core } from "./core";
import type { Neighbour } from "./neighbour";
import { NOBODY } from "./object";
import { hardDeadlineMs, nextUp } from "./rescue";
import { filterUploads, refuse, uplink } from "./upload";

/** The leaf that shows it. */
export interface Trial {
  leafTo: number; // who is sent it; NOBODY: none is on its way
  last: number; // who was sent it last
  bytes: number;
  sinceMs: number; // or when the last one was through
  slow: number; // leaves in a row that took too long
  lost: number; // leaves in a row of which nothing arrived
  passed: boolean; // the last one was through in time
  failed: number; // times in a row
  with: number; // the only one who hears what we hold, so that it asks
  withMs: number; // since when
}

export function noTrial(): Trial {
  return { leafTo: NOBODY, last: NOBODY, bytes: 0, sinceMs: 0, slow: 0, lost: 0, passed: false, failed: 0, with: NOBODY, withMs: 0 };
}

/** Whether our uplink is known to carry no leaf in time: we offer nothing. */
export function silent(c: Core): boolean {
  return c.uploads.rate > 0 && uplink(c) < least(c);
}

/** The uplink that just carries a leaf in time. */
function least(c: Core): number {
  return Math.trunc((LEAF_SIZE * 1000) / (2 * c.cfg.queueMs)) + 1;
}

/** Whether the uplink has not shown that it carries a leaf in time, or has shown that it does not. */
export function careful(c: Core): boolean {
  return !c.uploads.trial.passed && c.uploads.rate <= least(c);
}

/** Whether the uplink has shown that it is slow at least once. */
export function doubtful(c: Core): boolean {
  const t = c.uploads.trial;
  if (!careful(c)) return false;
  return c.uploads.rate > 0 || t.slow + t.lost > 0 || (t.leafTo !== NOBODY && c.nowMs - t.sinceMs > c.cfg.progressMs);
}

/** Whether we have only begun, and what we are to play is late: the line is for that alone. */
export function starting(c: Core): boolean {
  if (!careful(c) || c.nowMs - c.startMs >= START_MS) return false;
  const next = nextUp(c);
  return next !== undefined && c.nowMs >= hardDeadlineMs(c, next);
}

/** Whether a leaf may be sent while we are careful: one at a time, with a pause after a slow one. */
export function mayTry(c: Core): boolean {
  const t = c.uploads.trial;
  return t.leafTo === NOBODY && (t.slow === 0 || c.nowMs - t.sinceMs >= c.cfg.progressMs) && !starting(c);
}

/**
 * Has leaves go one by one again where a measurement says that the uplink carries none in
 * time: it may have been the receivers' fault.
 */
export function doubt(c: Core): void {
  const u = c.uploads;
  if (u.rate >= least(c) || u.trial.failed > 0) return;
  u.rate = least(c);
  u.trial.passed = false;
}

/** Whether a neighbour has shown what it can: it is another's turn. */
export function seen(t: Trial, n: Neighbour, neighbours: number): boolean {
  return t.slow + t.lost > 0 && t.last === n.id && neighbours > 1;
}

export function begin(t: Trial, n: Neighbour, bytes: number, nowMs: number): void {
  t.leafTo = t.last = n.id;
  t.bytes = bytes;
  t.sinceMs = nowMs;
}

/** Looks whether the leaf is through. */
export function judge(c: Core, n: Neighbour): void {
  const t = c.uploads.trial;
  const took = c.nowMs - t.sinceMs;
  if (n.id !== t.leafTo || (n.buffered > 0 && took < TRIAL_PATIENCE * c.cfg.progressMs)) return;
  const arrived = t.bytes - n.buffered;
  t.leafTo = NOBODY;
  t.sinceMs = c.nowMs;
  if (arrived <= 0) { // the neighbour is dead, unless the next ones look dead too
    if (++t.lost >= TRIALS_LOST) fail(c, MIN_RATE);
  } else if (took > c.cfg.progressMs) { // the neighbour may be slow, unless the next one is, too
    if (++t.slow >= TRIALS_SLOW || silent(c)) fail(c, Math.trunc((arrived * 1000) / took));
  } else if (t.bytes >= Math.trunc(LEAF_SIZE / 2)) { // less is too little to tell
    const { rate } = c.uploads;
    if (rate > 0) c.uploads.rate = Math.min(Math.max(Math.trunc((arrived * 1000) / Math.max(took, 1)), least(c)), MAX_RATE);
    c.uploads.trial = { ...noTrial(), passed: true };
    announceAll(c);
  }
}

/** Has those neighbours hear what we hold who have not. */
function announceAll(c: Core): void {
  for (const o of c.objects) {
    for (const n of c.neighbours) if (!o.told[n.seat]) announceTo(c, n, o);
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
 * Lets one neighbour after the other hear what we hold, as long as our uplink is doubtful,
 * until one asks for it. After trials that failed it waits: lines get better, or were busy
 * with something else.
 */
export function findTaker(c: Core): void {
  const u = c.uploads;
  const t = u.trial;
  if (!doubtful(c) || t.leafTo !== NOBODY || u.queue.length > 0 || c.neighbours.length === 0) return;
  if (t.with !== NOBODY && c.nowMs - t.withMs < c.cfg.progressMs) return;
  if (silent(c) && c.nowMs - u.sampledMs < TRIAL_AGAIN_MS * 2 ** Math.min(2 * t.failed, TRIAL_DOUBLINGS)) return;
  const n = c.neighbours.find((x) => x.id > t.with) ?? c.neighbours[0];
  t.with = n.id;
  t.withMs = c.nowMs;
  for (const o of c.objects.slice(-TRIAL_OBJECTS)) if (!o.told[n.seat]) announceTo(c, n, o);
}
