// Asks neighbours: which leaf next, from whom, and what if it does not come; the
// twin of pull.go.

import { LEAF_SIZE, NOT_HELD, setBit } from "../wire";
import { LIE_STRIKES, MAX_RATE, MIN_RATE, STALL_STRIKES } from "./config";
import type { Core } from "./core";
import { Do, Reason, type Event } from "./event";
import { mix32 } from "./mix32";
import { NOBODY, type Neighbour, type SwarmObject } from "./object";
import { hardDeadlineMs, lastDueMs, mustWait } from "./rescue";
import { cancelPull, drop, removeWanted } from "./room";

/**
 * Requests open leaves from neighbours that hold them, the object with the earliest
 * deadline first, within it the rarest leaf first.
 */
export function pull(c: Core): void {
  let least = LEAF_SIZE; // the shortest leaf there is
  for (const o of c.wanted) least = Math.min(least, o.leafBytes(o.leaves - 1));
  let room = 0; // neighbours that can be asked for anything at all
  for (const n of c.neighbours) {
    if (hasRoom(c, n, least)) room++;
  }
  for (const o of c.wanted) {
    if (room === 0 || mustWait(c, o)) return;
    if (o.open === 0) continue;
    for (const leaf of rarestFirst(c, o)) {
      const n = bestHolder(c, o, leaf);
      if (!n) continue;
      request(c, o, leaf, n);
      if (!hasRoom(c, n, least) && --room === 0) return;
    }
  }
}

/** Whether so many bytes more may be asked of a neighbour now; one leaf always, if it owes nothing. */
function hasRoom(c: Core, n: Neighbour, bytes: number): boolean {
  return n.blockedMs <= c.nowMs && (n.inflight === 0 || n.inflight + bytes <= n.windowBytes(c.cfg.pipelineMs));
}

/**
 * The open leaves that some neighbour holds. Ties start at a different leaf in every
 * viewer, so that neighbours fetch different ones and have something to swap.
 */
function rarestFirst(c: Core, o: SwarmObject): number[] {
  const order: number[] = [];
  const turn = mix32((c.cfg.seed ^ o.sequence) >>> 0) % o.leaves;
  for (let i = 0; i < o.leaves; i++) {
    const leaf = (turn + i) % o.leaves;
    if (o.holders[leaf] === 0 || !o.isOpen(leaf)) continue;
    let at = order.length;
    while (at > 0 && o.holders[order[at - 1]] > o.holders[leaf]) {
      order[at] = order[at - 1];
      at--;
    }
    order[at] = leaf;
  }
  return order;
}

/**
 * The neighbour expected to deliver a leaf first, if any can in time; ties go to the
 * lower id. Later than that only while the CDN can not take it: otherwise fetch would
 * take it back at once.
 */
function bestHolder(c: Core, o: SwarmObject, leaf: number): Neighbour | undefined {
  let best: Neighbour | undefined;
  const bytes = o.leafBytes(leaf);
  let bestEta = lastDueMs(c, hardDeadlineMs(c, o)) - c.nowMs + 1;
  if (c.cdn.blockedMs > c.nowMs || c.cdn.fetches >= c.cfg.maxFetches) bestEta = Math.max(bestEta, c.cfg.progressMs);
  for (const n of c.neighbours) {
    if (!n.holdsLeaf(o, leaf) || !hasRoom(c, n, bytes)) continue;
    const eta = n.etaMs(bytes);
    if (eta < bestEta) {
      best = n;
      bestEta = eta;
    }
  }
  return best;
}

function request(c: Core, o: SwarmObject, leaf: number, n: Neighbour): void {
  const bytes = o.leafBytes(leaf);
  if (n.inflight === 0) n.progressMs = c.nowMs;
  const s = o.leaf[leaf];
  s.from = n.id;
  s.sentMs = c.nowMs;
  s.dueMs = c.nowMs + n.etaMs(bytes);
  o.open--;
  n.inflight += bytes;
  c.do(Do.SendRequest, { neighbour: n.id, object: o.id, leaf });
}

/** Makes a pending leaf open again (or merely no longer pending). */
export function release(c: Core, o: SwarmObject, leaf: number): void {
  const s = o.leaf[leaf];
  if (s.from === NOBODY) return;
  const n = c.neighbour(s.from);
  if (n) n.inflight -= o.leafBytes(leaf);
  s.from = NOBODY;
  o.open++;
}

/**
 * Gives up on neighbours that owe leaves, are past due and have delivered nothing for
 * progressMs. WebRTC notices a death after 8 to 18 s.
 */
export function expirePulls(c: Core): void {
  for (let i = c.neighbours.length - 1; i >= 0; i--) {
    const n = c.neighbours[i];
    if (n.inflight === 0 || c.nowMs - n.progressMs < c.cfg.progressMs || !releasePastDue(c, n)) continue;
    if (n.blockedMs > c.nowMs) continue; // one silence is one strike, however many requests run into it
    n.strikes++;
    n.blockedMs = c.nowMs + c.cfg.progressMs * 2 ** Math.min(n.strikes - 1, 3);
    n.rate = Math.max(Math.trunc(n.rate / 2), MIN_RATE);
    if (n.strikes >= STALL_STRIKES) drop(c, n, Reason.Stalled);
  }
}

function releasePastDue(c: Core, n: Neighbour): boolean {
  let found = false;
  for (const o of c.wanted) {
    for (let leaf = 0; leaf < o.leaves; leaf++) {
      const s = o.leaf[leaf];
      if (s.from === n.id && Math.max(s.dueMs, s.sentMs + c.cfg.progressMs) <= c.nowMs) {
        cancelPull(c, o, leaf);
        found = true;
      }
    }
  }
  return found;
}

export function refused(c: Core, o: SwarmObject, n: Neighbour, leaf: number, reason: number): void {
  if (o.leaf[leaf].from !== n.id) return;
  release(c, o, leaf);
  if (reason !== NOT_HELD) {
    n.blockedMs = Math.max(n.blockedMs, c.nowMs + c.cfg.busyBackoffMs);
    return;
  }
  const bits = n.holds[o.slot];
  if (bits && n.holdsLeaf(o, leaf)) {
    bits[leaf >> 3] &= ~(0x80 >> (leaf & 7));
    o.holders[leaf]--;
  }
  if (++n.lies >= LIE_STRIKES) drop(c, n, Reason.Liar);
}

/** Books a leaf that is now in the store. */
export function verified(c: Core, o: SwarmObject, leaf: number, from: number): void {
  if (o.has(leaf)) return;
  const s = o.leaf[leaf];
  const pending = s.from;
  const n = c.neighbour(from);
  if (n) delivered(c, n, o.leafBytes(leaf), s.sentMs, pending === from);
  if (pending >= 0 && pending !== from) cancelPull(c, o, leaf);
  release(c, o, leaf);
  setBit(o.have, leaf);
  o.open--;
  o.missing--;
  o.fresh.push(leaf);
  if (o.missing === 0) removeWanted(c, o);
}

/** Whether a leaf nobody expects was asked for once: another was faster. That is no offence, but only once. */
export function cameTooLate(c: Core, e: Event, n: Neighbour): boolean {
  const o = c.object(e.object);
  if (!o || e.leaf < 0 || e.leaf >= o.leaves || o.leaf[e.leaf].late !== n.id) return false;
  o.leaf[e.leaf].late = NOBODY;
  return true;
}

/** Updates what is known of a neighbour that kept its word. */
function delivered(c: Core, n: Neighbour, bytes: number, sentMs: number, onTime: boolean): void {
  if (onTime) {
    const elapsed = Math.max(c.nowMs - Math.max(sentMs, n.progressMs), 1);
    const rate = Math.trunc((n.rate * 3 + Math.trunc((bytes * 1000) / elapsed)) / 4);
    n.rate = Math.max(Math.min(rate, MAX_RATE), MIN_RATE);
  }
  n.progressMs = c.nowMs;
  n.strikes = 0;
  n.unsolicited = Math.max(n.unsolicited - 1, 0); // leaves and cancels cross now and then
}
