// Asks the CDN: at once for what is our duty, late for what nobody else brings; the
// twin of rescue.go.

import { LEAF_SIZE } from "../wire";
import { rescued, sated, standBackMs } from "./acting";
import { announceComing } from "./announce";
import { affords, budgetFor, spend, startBudget } from "./budget";
import {
  CDN_BACKOFF_DOUBLINGS,
  CDN_BACKOFF_MS,
  CDN_SAMPLE_BYTES,
  CDN_WAIT_MAX_MS,
  HEDGE_MS,
  MARGIN_SHARE,
  MAX_LEAF_US,
  MIN_LEAF_US,
  OBJECT_BACKOFF_DOUBLINGS,
  SATED_SHARE,
  STAGGER_SHARE,
  WAIT_SHARE,
} from "./config";
import type { Core } from "./core";
import { Do, Kind, type Event } from "./event";
import { mix32 } from "./mix32";
import { FROM_CDN, NOBODY, type SwarmObject } from "./object";
import { inSet, stripe, trailingZeros } from "./piece";
import { cancelPull, pending, release } from "./pull";

/** When a request began, in bytes that had come from the CDN. */
export interface Start {
  object: number;
  first: number;
  received: number;
}

/**
 * Forgets a request and tells how many bytes all requests brought during it: they share
 * the line, and none alone shows what it carries.
 */
function ended(c: Core, e: Event): number {
  const { started, received } = c.cdn;
  const at = started.findIndex((s) => s.object === e.object && s.first === e.leaf);
  const [s] = started.splice(Math.max(at, 0), 1); // if the shell named another leaf: bounded all the same
  return at < 0 ? e.value : Math.max(received - s.received, e.value);
}

/** Starts CDN requests for runs of leaves that are due there. */
export function fetch(c: Core): void {
  if (c.cdn.blockedMs > c.nowMs) return;
  startBudget(c);
  for (const o of c.wanted) {
    if (c.cdn.started.length >= c.cfg.maxFetches || !budgetFor(c, o)) return;
    const hardMs = hardDeadlineMs(c, o);
    if (o.fetchBlockedMs > c.nowMs || quiet(c, o, hardMs)) continue;
    fetchObject(c, o, hardMs);
  }
}

/**
 * Whether nothing of an object can be due at the CDN yet: nothing open is our duty, and
 * the earliest soft deadline that anybody could draw has not come.
 */
function quiet(c: Core, o: SwarmObject, hardMs: number): boolean {
  if (c.neighbours.length === 0) return false;
  let earliestMs = hardMs - spreadMs(c, o, hardMs);
  for (let w = 0; w < o.open.length; w++) {
    if ((o.open[w] & (o.duty[w] | o.acting[w])) !== 0) return false;
    if ((o.open[w] & o.standing[w]) !== 0) earliestMs = Math.min(earliestMs, standBackMs(o, hardMs));
  }
  return c.nowMs < earliestMs;
}

/** Fetches what is due, leaves in a row by one request. */
function fetchObject(c: Core, o: SwarmObject, hardMs: number): void {
  let first = -1;
  let last = -1;
  for (let i = 0; i < o.pieces; i++) {
    const { missing } = o.piece[i];
    const due = missing !== 0 && affords(c, o) && dueAtCDN(c, o, i, hardMs);
    const from = i * o.each + (due ? trailingZeros(missing) : 0);
    if (first >= 0 && (!due || from !== last + 1)) {
      startFetch(c, o, first, last);
      if (c.cdn.started.length >= c.cfg.maxFetches) return;
      first = -1;
    }
    if (!due) continue;
    spend(c, o);
    if (c.nowMs < hardMs) rescued(c, o, i);
    if (first < 0) first = from;
    // What lies behind a gap in a piece is fetched when this request has ended.
    last = from + trailingZeros(~(missing >> (from - i * o.each))) - 1;
  }
  if (first >= 0) startFetch(c, o, first, last);
}

/**
 * The last moment at which fetching all that is missing of an object from the CDN still meets its deadline, also if the
 * line carries a fifth less for it than it did, because neighbours use it too.
 */
export function hardDeadlineMs(c: Core, o: SwarmObject): number {
  return o.deadlineMs - marginMs(c, o) - waitMs(c, o) - Math.trunc((o.missing * c.cdn.leafUs * 5) / 4000);
}

/**
 * The CDN's wait as far as there is time for it: where that is short, to count on the worst wait of late would be to ask
 * for everything at once, and so to make the next waits longer.
 */
export function waitMs(c: Core, o: SwarmObject): number {
  return Math.min(c.cdn.waitMs, Math.max(Math.trunc((o.deadlineMs - o.addedMs) / WAIT_SHARE), 0));
}

/** What the estimates may be wrong by: less where there is less time. */
export function marginMs(c: Core, o: SwarmObject): number {
  return Math.min(c.cfg.marginMs, Math.max(Math.trunc((o.deadlineMs - o.addedMs) / MARGIN_SHARE), 0));
}

/**
 * The latest delivery that may be waited for: if it fails to come, half of the margin
 * is left to fetch it from the CDN.
 */
export function lastDueMs(c: Core, o: SwarmObject, hardMs: number): number {
  return hardMs + Math.trunc(marginMs(c, o) / 2) - HEDGE_MS;
}

function dueAtCDN(c: Core, o: SwarmObject, i: number, hardMs: number): boolean {
  const p = o.piece[i];
  if (p.from === FROM_CDN) return false;
  if (p.from !== NOBODY) {
    // On its way from a neighbour: one hedge, when it is overdue or cannot be waited for.
    return c.nowMs >= hardMs && (p.dueMs + HEDGE_MS <= c.nowMs || p.dueMs > lastDueMs(c, o, hardMs));
  }
  if (c.nowMs >= hardMs) return true;
  if (inSet(o.duty, i)) return true; // whoever holds it has no room for us: pull was here before
  if (p.holders > 0) return false; // pull will find a neighbour with room
  if (c.nowMs < p.comingMs) return false; // it will soon be announced
  if (inSet(o.acting, i)) return true;
  // As any player does: one object after the other, as soon as it is there.
  const alone = c.neighbours.length === 0 && o === nextUp(c) && c.nowMs >= c.startMs + c.cfg.lonelyGraceMs;
  return alone || c.nowMs >= softDeadlineMs(c, o, i, hardMs);
}

/** The object that is due first of those that the CDN is not known to lack. */
export function nextUp(c: Core): SwarmObject | undefined {
  return c.wanted.find((o) => o.fetchBlockedMs <= c.nowMs);
}

/**
 * When this viewer, of all that lack a stripe, rescues it if nobody near it holds it.
 * It differs from viewer to viewer: the first to rescue says so, and the others need
 * not.
 */
function softDeadlineMs(c: Core, o: SwarmObject, i: number, hardMs: number): number {
  if (inSet(o.standing, i)) return standBackMs(o, hardMs);
  const h = mix32((mix32((c.cfg.seed ^ o.sequence) >>> 0) ^ stripe(i, o.pieces, o.sequence)) >>> 0);
  return hardMs - Math.floor((h * spreadMs(c, o, hardMs)) / 2 ** 32); // a share of the spread: it moves as the hard deadline moves, and does not jump
}

/** How long before the hard deadline the first rescuers begin. */
function spreadMs(c: Core, o: SwarmObject, hardMs: number): number {
  const spread = Math.max(Math.min(c.cfg.staggerMs, Math.trunc((hardMs - o.addedMs) / STAGGER_SHARE)), 0);
  return sated(c, o.rendition) ? Math.trunc(spread / SATED_SHARE) : spread;
}

function startFetch(c: Core, o: SwarmObject, first: number, last: number): void {
  const from = o.pieceOf(first);
  const to = o.pieceOf(last);
  for (let i = from; i <= to; i++) {
    if (o.piece[i].from >= 0) cancelPull(c, o, i);
    o.piece[i].from = FROM_CDN;
    pending(o, i);
  }
  c.cdn.started.push({ object: o.id, first, received: c.cdn.received });
  c.do(Do.Fetch, { object: o.id, leaf: first, last });
  announceComing(c, o, from, to);
}

/** Books the end of a CDN request, also of one for an object that is gone by now. */
export function fetchEnded(c: Core, e: Event): void {
  const { cdn } = c;
  if (cdn.started.length === 0) return; // nothing was asked for
  const meanwhile = ended(c, e);
  const o = c.object(e.object);
  if (o) {
    for (let leaf = Math.max(e.leaf, 0); leaf <= e.last && leaf < o.leaves; leaf += o.each - (leaf % o.each)) {
      const i = o.pieceOf(leaf);
      if (o.piece[i].from === FROM_CDN) release(c, o, i);
    }
  }
  if (e.kind === Kind.FetchFailed) return fetchFailed(c, o, e.value);
  cdn.failures = 0;
  if (o) o.fetchFailures = 0;
  const elapsed = Math.max(e.elapsedMs, 1);
  if (e.value >= CDN_SAMPLE_BYTES) {
    // A wait is not longer than the whole request; who makes only large ones would not learn it otherwise.
    cdn.waitMs = Math.min(cdn.waitMs, Math.trunc((cdn.waitMs * 3 + elapsed) / 4));
    const transferMs = elapsed - Math.min(cdn.waitMs, Math.trunc(elapsed / 2));
    let tookUs = Math.trunc((transferMs * 1000 * LEAF_SIZE) / meanwhile);
    if (cdn.measured) tookUs = Math.trunc((cdn.leafUs * 3 + tookUs) / 4); // before, it was a guess
    cdn.measured = true;
    cdn.leafUs = Math.max(Math.min(tookUs, MAX_LEAF_US), MIN_LEAF_US);
  } else {
    const wait = Math.max(elapsed - Math.trunc((meanwhile * cdn.leafUs) / (LEAF_SIZE * 1000)), 0);
    cdn.waitMs = Math.min(Math.max(Math.trunc((cdn.waitMs * 7 + wait) / 8), wait), CDN_WAIT_MAX_MS); // up at once, down slowly
  }
}

/** Backs off: from the object if the CDN answered that it will not give it, else from the CDN as a whole. */
function fetchFailed(c: Core, o: SwarmObject | undefined, status: number): void {
  if (status >= 400 && status < 500) {
    if (o && o.fetchBlockedMs <= c.nowMs) {
      o.fetchBlockedMs = c.nowMs + CDN_BACKOFF_MS * 2 ** Math.min(o.fetchFailures, OBJECT_BACKOFF_DOUBLINGS);
      o.fetchFailures++;
    }
    return;
  }
  const { cdn } = c;
  if (cdn.blockedMs <= c.nowMs) { // requests that fail together are one failure
    cdn.blockedMs = c.nowMs + CDN_BACKOFF_MS * 2 ** Math.min(cdn.failures, CDN_BACKOFF_DOUBLINGS);
    cdn.failures++;
  }
}
