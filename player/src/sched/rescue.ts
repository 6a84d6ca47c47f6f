// Asks the CDN: at once for what is our duty, late for what nobody else brings; the
// twin of rescue.go.

import { LEAF_SIZE } from "../wire";
import {
  CDN_BACKOFF_DOUBLINGS,
  CDN_BACKOFF_MS,
  CDN_SAMPLE_BYTES,
  CDN_WAIT_MAX_MS,
  HEDGE_MS,
  MAX_RATE,
  MIN_RATE,
  OBJECT_BACKOFF_DOUBLINGS,
} from "./config";
import type { Core } from "./core";
import { Do, Kind, type Event } from "./event";
import { mix32, stripe } from "./mix32";
import { FROM_CDN, NOBODY, type SwarmObject } from "./object";
import { release } from "./pull";
import { cancelPull, onDuty } from "./room";

/** Starts CDN requests for runs of leaves that are due there. */
export function fetch(c: Core): void {
  if (c.cdn.blockedMs > c.nowMs) return;
  for (const o of c.wanted) {
    if (c.cdn.fetches >= c.cfg.maxFetches || mustWait(c, o)) return;
    const hardMs = hardDeadlineMs(c, o);
    if (o.open === 0 && c.nowMs < hardMs) continue; // all is under way
    if (o.fetchBlockedMs > c.nowMs) continue; // the CDN just failed to give it
    for (let leaf = 0; leaf < o.leaves && c.cdn.fetches < c.cfg.maxFetches; leaf++) {
      const first = leaf;
      while (leaf < o.leaves && dueAtCDN(c, o, leaf, hardMs)) leaf++;
      if (leaf > first) startFetch(c, o, first, leaf - 1);
    }
  }
}

/**
 * Whether an object is not to be asked for yet, because the one that is due first is
 * past its hard deadline and the CDN can give it: then the whole downlink belongs to
 * that one.
 */
export function mustWait(c: Core, o: SwarmObject): boolean {
  const first = c.wanted[0];
  return (
    o.deadlineMs > first.deadlineMs &&
    hardDeadlineMs(c, first) <= c.nowMs &&
    first.fetchBlockedMs <= c.nowMs &&
    c.cdn.blockedMs <= c.nowMs
  );
}

/** The last moment at which fetching all that is missing of an object from the CDN still meets its deadline. */
export function hardDeadlineMs(c: Core, o: SwarmObject): number {
  const bytes = o.missing * LEAF_SIZE;
  return o.deadlineMs - c.cfg.marginMs - c.cdn.waitMs - Math.trunc((bytes * 1000) / c.cdn.rate);
}

/**
 * The latest delivery that may be waited for: if it fails to come, half of the margin
 * is left to fetch it from the CDN.
 */
export function lastDueMs(c: Core, hardMs: number): number {
  return hardMs + Math.trunc(c.cfg.marginMs / 2) - HEDGE_MS;
}

function dueAtCDN(c: Core, o: SwarmObject, leaf: number, hardMs: number): boolean {
  const s = o.leaf[leaf];
  if (o.has(leaf) || s.from === FROM_CDN) return false;
  if (s.from !== NOBODY) {
    // On its way from a neighbour: one hedge, when it is overdue or cannot be waited for.
    return c.nowMs >= hardMs && (s.dueMs + HEDGE_MS <= c.nowMs || s.dueMs > lastDueMs(c, hardMs));
  }
  if (c.nowMs >= hardMs) return true;
  if (onDuty(c, o, leaf)) return true; // whoever holds it has no room for us: pull was here before
  if (o.holders[leaf] > 0) return false; // pull will find a neighbour with room
  const softMs = softDeadlineMs(c, o, leaf, hardMs);
  if (c.neighbours.length === 0) return c.nowMs >= Math.min(c.startMs + c.cfg.lonelyGraceMs, softMs);
  return c.nowMs >= softMs;
}

/**
 * When this viewer, of all that lack a stripe, rescues it if nobody near it holds it.
 * It differs from viewer to viewer: the first to rescue announces what it got, and the
 * others need not.
 */
function softDeadlineMs(c: Core, o: SwarmObject, leaf: number, hardMs: number): number {
  const spread = Math.min(c.cfg.staggerMs, Math.trunc((hardMs - o.addedMs) / 2));
  if (spread <= 0) return hardMs;
  const h = mix32((mix32((c.cfg.seed ^ o.sequence) >>> 0) ^ stripe(leaf, o.leaves, o.sequence)) >>> 0);
  return hardMs - Math.floor((h * spread) / 2 ** 32); // a share of spread: it moves as the hard deadline moves, and does not jump
}

function startFetch(c: Core, o: SwarmObject, first: number, last: number): void {
  for (let leaf = first; leaf <= last; leaf++) {
    if (o.leaf[leaf].from >= 0) cancelPull(c, o, leaf);
    o.leaf[leaf].from = FROM_CDN;
    o.open--;
  }
  c.cdn.fetches++;
  c.do(Do.Fetch, { object: o.id, leaf: first, last });
}

/** Books the end of a CDN request, also of one for an object that is gone by now. */
export function fetchEnded(c: Core, e: Event): void {
  const cdn = c.cdn;
  if (cdn.fetches === 0) return; // nothing was asked for
  cdn.fetches--;
  const o = c.object(e.object);
  if (o) {
    for (let leaf = Math.max(e.leaf, 0); leaf <= e.last && leaf < o.leaves; leaf++) {
      if (o.leaf[leaf].from === FROM_CDN) release(c, o, leaf);
    }
  }
  if (e.kind === Kind.FetchFailed) return fetchFailed(c, o, e.value);
  cdn.failures = 0;
  if (o) o.fetchFailures = 0;
  const elapsed = Math.max(e.elapsedMs, 1);
  if (e.value >= CDN_SAMPLE_BYTES) {
    const rate = Math.trunc((cdn.rate * 3 + Math.trunc((e.value * 1000) / elapsed)) / 4);
    cdn.rate = Math.max(Math.min(rate, MAX_RATE), MIN_RATE);
  } else {
    cdn.waitMs = Math.min(Math.trunc((cdn.waitMs * 3 + elapsed) / 4), CDN_WAIT_MAX_MS);
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
  const cdn = c.cdn;
  if (cdn.blockedMs <= c.nowMs) { // requests that fail together are one failure
    cdn.blockedMs = c.nowMs + CDN_BACKOFF_MS * 2 ** Math.min(cdn.failures, CDN_BACKOFF_DOUBLINGS);
    cdn.failures++;
  }
}
