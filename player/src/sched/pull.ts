// Asks neighbours: which piece next, from whom, and what if it does not come; the
// twin of pull.go.

import { LEAF_SIZE, NOT_HELD } from "../wire";
import { resign } from "./acting";
import { affords, budgetFor, spend, startBudget } from "./budget";
import {
  ADVANCE_MS,
  BACKOFF_LEAST_MS,
  BUSY_DOUBLINGS,
  BUSY_STRIKES,
  BACKOFF_SHARE,
  LIE_STRIKES,
  LINE_LEAST,
  MANY_HOLDERS,
  STALL_STRIKES,
} from "./config";
import { completed, hasNews } from "./announce";
import type { Core } from "./core";
import { Do, Reason, type Event } from "./event";
import { mix32 } from "./mix32";
import { drop, gain, hasRoom, learnPace, notHeld, setMute, type Neighbour } from "./neighbour";
import { FROM_CDN, NOBODY, type Piece, type SwarmObject } from "./object";
import { add, countBits, inSet, remove, trailingZeros } from "./piece";
import { hardDeadlineMs, lastDueMs } from "./rescue";
import { removeWanted } from "./room";
import { unpark } from "./upload";

/**
 * Requests open pieces from neighbours that hold them, the object with the earliest
 * deadline first, within it the rarest piece first.
 */
export function pull(c: Core): void {
  if (c.wanted.length === 0) return;
  const roomy = c.neighbours.filter((n) => hasRoom(c, n, LEAF_SIZE)); // who can be asked
  startBudget(c);
  for (const o of c.wanted) {
    if (!budgetFor(c, o) || roomy.length === 0 || lineFull(c)) return;
    pullObject(c, o, roomy);
    askInAdvance(c, o, roomy);
  }
}

/**
 * Requests open pieces that nobody near holds from neighbours to which they are coming,
 * at most once of each: they are sent the moment they are verified, and have waited for
 * no announcement and no request. What we are to fetch ourselves is not asked for.
 */
function askInAdvance(c: Core, o: SwarmObject, roomy: readonly Neighbour[]): void {
  const turn = turnOf(c, o);
  const order: number[] = [];
  for (let w = 0; w < o.open.length; w++) {
    let hoped = 0;
    for (const n of roomy) hoped |= o.hopedOf(n)[w];
    for (let rest = hoped & o.open[w] & ~o.duty[w]; rest !== 0; rest &= rest - 1) {
      const i = (w << 5) + trailingZeros(rest);
      const p = o.piece[i];
      if (p.holders === 0 && c.nowMs < p.comingMs) order.push((i - turn + o.pieces) % o.pieces);
    }
  }
  order.sort((a, b) => a - b);
  for (const key of order) {
    const i = (key + turn) % o.pieces;
    const p = o.piece[i];
    const n = roomy.find((x) => inSet(o.hopedOf(x), i) && affords(c, o) && hasRoom(c, x, o.bytes(i, p.missing)));
    if (!n) continue;
    remove(o.hopedOf(n), i);
    request(c, o, i, n);
    p.advance = true;
    p.dueMs += ADVANCE_MS;
  }
}

function pullObject(c: Core, o: SwarmObject, roomy: Neighbour[]): void {
  const order = rarestFirst(c, o, roomy);
  if (order.length === 0) return;
  let withinMs = lastDueMs(c, o, hardDeadlineMs(c, o)) - c.nowMs;
  if (c.cdn.blockedMs > c.nowMs || c.cdn.started.length >= c.cfg.maxFetches) {
    // Later only while the CDN cannot take it: otherwise fetch would take it back at once.
    withinMs = Math.max(withinMs, c.cfg.progressMs - 1);
  }
  const turn = turnOf(c, o);
  for (const key of order) {
    const i = ((key & KEY_MASK) + turn) % o.pieces;
    const n = bestHolder(c, o, i, withinMs, roomy);
    if (!n) continue;
    request(c, o, i, n);
    if (lineFull(c) || !affords(c, o)) return;
    if (hasRoom(c, n, LEAF_SIZE)) continue;
    roomy.splice(roomy.indexOf(n), 1);
    if (roomy.length === 0) return;
  }
}

// Keys of rarestFirst: the number of holders above KEY_BITS, the piece below.
const KEY_BITS = 10; // an object has at most 1024 pieces
const KEY_MASK = (1 << KEY_BITS) - 1;

/**
 * The open pieces that somebody with room holds, as keys that sort by the number of
 * holders. Ties start at a different piece in every viewer, so that neighbours fetch
 * different ones and have something to swap.
 */
function rarestFirst(c: Core, o: SwarmObject, roomy: readonly Neighbour[]): number[] {
  const order: number[] = [];
  const turn = turnOf(c, o);
  for (let w = 0; w < o.open.length; w++) {
    let offered = 0;
    for (const n of roomy) offered |= o.heldBy(n)[w];
    for (let rest = offered & o.open[w]; rest !== 0; rest &= rest - 1) {
      const i = (w << 5) + trailingZeros(rest);
      order.push((Math.min(o.piece[i].holders, MANY_HOLDERS) << KEY_BITS) | ((i - turn + o.pieces) % o.pieces));
    }
  }
  return order.sort((a, b) => a - b);
}

/** The piece that a viewer begins with. */
function turnOf(c: Core, o: SwarmObject): number {
  return mix32((c.cfg.seed ^ o.sequence) >>> 0) % o.pieces;
}

/** The neighbour expected to deliver a piece first, if any can in time; ties go to the lower id. */
function bestHolder(c: Core, o: SwarmObject, i: number, withinMs: number, roomy: readonly Neighbour[]): Neighbour | undefined {
  let best: Neighbour | undefined;
  const bytes = o.bytes(i, o.piece[i].missing);
  for (const n of roomy) {
    if (!inSet(o.heldBy(n), i) || !hasRoom(c, n, bytes)) continue;
    const eta = n.etaMs(bytes);
    if (eta > withinMs) continue;
    best = n;
    withinMs = eta - 1;
  }
  return best;
}

function request(c: Core, o: SwarmObject, i: number, n: Neighbour): void {
  const p = o.piece[i];
  const bytes = o.bytes(i, p.missing);
  if (n.inflight === 0) n.progressMs = c.nowMs;
  p.from = n.id;
  p.owed = p.missing;
  p.sentMs = c.nowMs;
  p.dueMs = c.nowMs + n.etaMs(bytes);
  pending(o, i);
  p.advance = false;
  spend(c, o);
  owe(c, n, bytes);
  c.do(Do.SendRequest, { neighbour: n.id, object: o.id, piece: i, mask: p.missing });
}

/**
 * Whether neighbours owe us as much as our line carries in a while, as far as the CDN has
 * shown what it carries: what is urgent must not wait behind more.
 */
function lineFull(c: Core): boolean {
  return c.cdn.measured && c.owed >= LINE_LEAST && c.owed * c.cdn.leafUs >= c.cfg.pipelineMs * 1000 * LEAF_SIZE;
}

/** Books bytes that a neighbour owes us now. */
function owe(c: Core, n: Neighbour, bytes: number): void {
  n.inflight += bytes;
  c.owed += bytes;
}

/** Notes that a piece was asked for somewhere. */
export function pending(o: SwarmObject, i: number): void {
  remove(o.open, i);
  o.onWay += countBits(o.piece[i].missing);
}

/** Makes a pending piece open again (or merely no longer pending). */
export function release(c: Core, o: SwarmObject, i: number): void {
  const p = o.piece[i];
  const n = p.from >= 0 ? c.neighbour(p.from) : undefined;
  if (n) owe(c, n, -o.bytes(i, p.owed));
  if (p.from !== NOBODY) o.onWay -= countBits(p.missing);
  p.from = NOBODY;
  p.owed = 0;
  if (p.missing === 0) return;
  add(o.open, i);
  if (p.parked > 0) unpark(c, o, i);
}

/** Takes a request to a neighbour back; leaves may be on their way already and are still welcome. */
export function cancelPull(c: Core, o: SwarmObject, i: number): void {
  const p = o.piece[i];
  p.late = p.from;
  p.lateOwed = p.owed;
  c.do(Do.SendCancel, { neighbour: p.from, object: o.id, piece: i });
  release(c, o, i);
}

export function cancelPulls(c: Core, o: SwarmObject): void {
  for (let i = 0; i < o.pieces; i++) if (o.piece[i].from >= 0) cancelPull(c, o, i);
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
    learnPace(c, n, n.leafUs * 2);
    setMute(c, n, true);
    if (n.strikes >= STALL_STRIKES) drop(c, n, Reason.Stalled);
  }
}

function releasePastDue(c: Core, n: Neighbour): boolean {
  let found = false;
  for (const o of c.wanted) {
    for (let i = 0; i < o.pieces; i++) {
      const p = o.piece[i];
      if (p.from === n.id && Math.max(p.dueMs, p.sentMs + c.cfg.progressMs) <= c.nowMs) {
        cancelPull(c, o, i);
        found = true;
      }
    }
  }
  return found;
}

export function refused(c: Core, o: SwarmObject, n: Neighbour, i: number, reason: number): void {
  if (o.piece[i].from !== n.id) return;
  release(c, o, i);
  if (reason !== NOT_HELD) {
    // Who can wait, waits longer: the others have less time.
    const share = Math.trunc((hardDeadlineMs(c, o) - c.nowMs) / BACKOFF_SHARE);
    let wait = Math.min(Math.max(share, BACKOFF_LEAST_MS), c.cfg.busyBackoffMs);
    if (n.blockedMs <= c.nowMs) n.refusals++; // not one of several answers to what was asked together
    if (n.refusals > BUSY_STRIKES) {
      setMute(c, n, true); // always busy is as good as dead, and as easily said
      wait <<= Math.min(n.refusals - BUSY_STRIKES, BUSY_DOUBLINGS);
    }
    n.blockedMs = Math.max(n.blockedMs, c.nowMs + wait);
    return;
  }
  if (!inSet(o.heldBy(n), i)) return; // it was asked in advance
  notHeld(o, n, i);
  if (++n.lies >= LIE_STRIKES) drop(c, n, Reason.Liar);
}

/** Books a leaf that is now in the store. */
export function verified(c: Core, o: SwarmObject, leaf: number, from: number): void {
  const i = o.pieceOf(leaf);
  const bit = o.bitOf(leaf);
  const p = o.piece[i];
  if ((p.missing & bit) === 0) return;
  p.missing &= ~bit;
  o.missing--;
  if (p.from !== NOBODY) o.onWay--;
  if (from === FROM_CDN) c.cdn.received += o.leafBytes(leaf);
  const n = c.neighbour(from);
  if (n) delivered(c, o, n, p, leaf, bit);
  if (p.missing !== 0) return;
  if (n) gain(o, n, i); // only whole pieces travel, so it need not be told of this one
  if (from !== FROM_CDN) resign(c, o, i);
  if (p.from >= 0 && p.owed !== 0) cancelPull(c, o, i); // somebody else was faster
  release(c, o, i);
  remove(o.open, i);
  p.parked = 0;
  o.lacking--;
  add(o.fresh, i);
  hasNews(c, o);
  if (o.missing === 0) {
    completed(c, o);
    removeWanted(c, o);
  }
}

/** Updates what is known of a neighbour that kept its word. */
function delivered(c: Core, o: SwarmObject, n: Neighbour, p: Piece, leaf: number, bit: number): void {
  const bytes = o.leafBytes(leaf);
  if (p.from === n.id && (p.owed & bit) !== 0) {
    p.owed &= ~bit;
    owe(c, n, -bytes);
    if (!p.advance) {
      const tookUs = Math.trunc(((c.nowMs - Math.max(p.sentMs, n.progressMs)) * 1000 * LEAF_SIZE) / bytes);
      learnPace(c, n, Math.trunc((n.leafUs * 3 + tookUs) / 4));
    }
    p.advance = false;
  } else if (p.late === n.id) {
    p.lateOwed &= ~bit;
  }
  n.progressMs = c.nowMs;
  n.strikes = 0;
  n.refusals = 0;
  setMute(c, n, false);
  n.unsolicited = Math.max(n.unsolicited - 1, 0); // leaves and cancels cross now and then
}

/** Whether a leaf nobody expects was asked for once: another was faster. That is no offence, but only once. */
export function cameTooLate(c: Core, e: Event, n: Neighbour): boolean {
  const o = c.object(e.object);
  if (!o || e.leaf < 0 || e.leaf >= o.leaves) return false;
  const i = o.pieceOf(e.leaf);
  const p = o.piece[i];
  const bit = o.bitOf(e.leaf);
  if (p.from === n.id && (p.owed & bit) !== 0) {
    if ((p.missing & bit) !== 0) {
      release(c, o, i); // it came and was of no use, so it is to be asked for again
      return false;
    }
    p.owed &= ~bit;
    owe(c, n, -o.leafBytes(e.leaf));
    return true;
  }
  if (p.late !== n.id || (p.lateOwed & bit) === 0) return false;
  p.lateOwed &= ~bit;
  return true;
}
