// Serves neighbours: whom to serve next, and when to say no because it could not arrive
// in time; the twin of upload.go.

import { BUSY, LEAF_SIZE, NOT_HELD } from "../wire";
import { offersTo } from "./announce";
import {
  ASK_STRIKES,
  ASSUMED_UPLINK,
  BUFFER_MS,
  BUFFER_UNKNOWN,
  HOPED_UPLINK,
  MAX_PARKED,
  MAX_QUEUE,
  MAX_WINDOW,
  STALE_UPLOAD_MS,
} from "./config";
import type { Core } from "./core";
import { Do, Reason } from "./event";
import { drop, gain, type Neighbour } from "./neighbour";
import { FROM_CDN, type SwarmObject } from "./object";
import { trailingZeros } from "./piece";
import { begin, careful, mayTry, noTrial, seen, type Trial } from "./trial";
import { buffered, busyBytes, clogged, waiting } from "./uplink";

export interface Upload {
  n: Neighbour;
  o: SwarmObject;
  piece: number;
  mask: number; // leaves still to be sent
  started: boolean;
  queuedMs: number;
}

/** The queue of requests to serve and what is known of the uplink that serves it. */
export class Uploads {
  queue: Upload[] = [];
  bytes = 0; // in queue

  rate = 0; // bytes/s, estimated; 0: never saturated, so not known
  sinceMs = 0; // start of the running measurement
  drained = 0; // bytes drained in it
  sampledMs = 0; // when rate was estimated last
  served = 0; // what the neighbour had that was served last
  allowance = 0; // bytes that the cap still allows
  allowedMs = 0; // when allowance was last topped up
  trial: Trial = noTrial();
}

export function requested(c: Core, o: SwarmObject, n: Neighbour, i: number, wanted: number): void {
  const u = c.uploads;
  const mask = wanted & o.all(i);
  if (mask === 0) return;
  if (c.cfg.noUpload || (!o.has(i) && !awaits(o, i))) return refuse(c, n, o, i, NOT_HELD);
  const queued = u.queue.find((q) => q.piece === i && q.n === n && q.o === o);
  if (queued) { // a refusal would be a lie: it will be sent
    u.bytes += o.bytes(i, mask & ~queued.mask);
    queued.mask |= mask;
  } else if (bytesFor(u, n) >= MAX_WINDOW * LEAF_SIZE) {
    if (++n.overAsked >= ASK_STRIKES) drop(c, n, Reason.TooManyAsked);
    else refuse(c, n, o, i, BUSY);
  } else if (!offersTo(c, n, o) || u.queue.length >= MAX_QUEUE || u.bytes + waiting(c) > Math.trunc((uplink(c) * c.cfg.queueMs) / 1000)) {
    refuse(c, n, o, i, BUSY);
  } else {
    if (++n.queued === 1) n.served = Math.max(n.served, u.served); // no credit for having asked for nothing
    if (!o.has(i)) o.piece[i].parked++;
    u.queue.push({ n, o, piece: i, mask, started: false, queuedMs: c.nowMs });
    u.bytes += o.bytes(i, mask);
  }
}

/**
 * Whether a request may wait here for a piece that is on its way from the CDN. What comes
 * from a neighbour is not promised: chains of promises break.
 */
function awaits(o: SwarmObject, i: number): boolean {
  const p = o.piece[i];
  return p.from === FROM_CDN && p.parked < MAX_PARKED;
}

export function refuse(c: Core, n: Neighbour, o: SwarmObject, i: number, reason: number): void {
  c.do(Do.SendRefuse, { neighbour: n.id, object: o.id, piece: i, reason });
}

/** The estimate used for decisions: measured, else assumed, never above the cap. */
export function uplink(c: Core): number {
  const u = c.uploads;
  const rate = u.rate || (u.trial.passed ? ASSUMED_UPLINK : HOPED_UPLINK);
  return c.cfg.uploadBytesPerSec > 0 ? Math.min(rate, c.cfg.uploadBytesPerSec) : rate;
}

/**
 * Hands leaves to the transport, but never more than it will send within about
 * BUFFER_MS: what waits here can still be cancelled or refused.
 */
export function upload(c: Core): void {
  const u = c.uploads;
  if (u.queue.length === 0) return;
  const limit = u.rate > 0 ? Math.max(Math.trunc((uplink(c) * BUFFER_MS) / 1000), busyBytes(c) + LEAF_SIZE) : BUFFER_UNKNOWN;
  refuseStale(c);
  topUpAllowance(c);
  let total = waiting(c);
  while (u.queue.length > 0) {
    if (careful(c) && !mayTry(c)) return;
    const at = nextUpload(c, limit);
    if (at < 0) return;
    const { o, piece, mask } = u.queue[at];
    const leaf = piece * o.each + trailingZeros(mask);
    const bytes = o.leafBytes(leaf);
    if ((total > 0 && total + bytes > limit) || !allowed(c, bytes)) return;
    total += bytes;
    sendLeaf(c, at, leaf, bytes);
  }
}

function sendLeaf(c: Core, at: number, leaf: number, bytes: number): void {
  const u = c.uploads;
  const q = u.queue[at];
  const { n } = q;
  c.do(Do.SendLeaf, { neighbour: n.id, object: q.o.id, leaf });
  if (careful(c)) begin(u.trial, n, bytes, c.nowMs);
  buffered(c, n, n.buffered + bytes);
  n.served += bytes;
  u.served = Math.max(u.served, n.served);
  u.bytes -= bytes;
  q.started = true;
  q.mask &= q.mask - 1;
  if (q.mask !== 0) return;
  gain(q.o, n, q.piece); // soon
  n.queued--;
  u.queue.splice(at, 1);
}

/**
 * The place in the queue of what is to be sent next, -1 if nobody can take anything. A
 * piece that was begun is finished, because only whole pieces travel on. Then comes what
 * fewest hold, as far as we know, so that it spreads; of that, what the least served
 * asked for, so that nobody takes another's share; then the oldest.
 */
function nextUpload(c: Core, limit: number): number {
  const { queue } = c.uploads;
  let best = -1;
  let bestCopies = 0;
  for (let i = 0; i < queue.length; i++) {
    const q = queue[i];
    if (!q.o.has(q.piece) || heldUp(c, q.n, limit)) continue;
    if (q.started) return i;
    const copies = q.o.piece[q.piece].holders;
    if (best < 0 || copies < bestCopies || (copies === bestCopies && q.n.served < queue[best].n.served)) {
      best = i;
      bestCopies = copies;
    }
  }
  return best;
}

/**
 * Whether a neighbour is to get nothing now: it takes nothing any more, or has its share
 * of the send buffers while others wait. Who takes far less than the others has no more
 * than one leaf there.
 */
function heldUp(c: Core, n: Neighbour, limit: number): boolean {
  if (careful(c) && seen(c.uploads.trial, n, c.neighbours.length)) return true;
  if (n.buffered === 0) return false;
  if (n.slow || clogged(c, n)) return true;
  return n.queued < c.uploads.queue.length && n.buffered >= Math.max(Math.trunc(limit / 2), 2 * LEAF_SIZE);
}

/** Says no to what waited so long that it was asked elsewhere. */
function refuseStale(c: Core): void {
  filterUploads(c, (q) => {
    const stale = c.nowMs - q.queuedMs > STALE_UPLOAD_MS;
    if (stale) refuse(c, q.n, q.o, q.piece, BUSY);
    return !stale;
  });
}

/** topUpAllowance and allowed are a token bucket of one second at the cap. */
function topUpAllowance(c: Core): void {
  const u = c.uploads;
  const limit = c.cfg.uploadBytesPerSec;
  if (limit <= 0) return;
  const elapsed = Math.min(c.nowMs - u.allowedMs, 1000); // at first allowedMs is 0 and nowMs an epoch
  u.allowance = Math.min(u.allowance + Math.trunc((elapsed * limit) / 1000), Math.max(limit, LEAF_SIZE));
  u.allowedMs = c.nowMs;
}

function allowed(c: Core, bytes: number): boolean {
  if (c.cfg.uploadBytesPerSec <= 0) return true;
  if (c.uploads.allowance < bytes) return false;
  c.uploads.allowance -= bytes;
  return true;
}

/** What is queued for a neighbour. */
function bytesFor(u: Uploads, n: Neighbour): number {
  let bytes = 0;
  for (const q of u.queue) if (q.n === n) bytes += q.o.bytes(q.piece, q.mask);
  return bytes;
}

export function filterUploads(c: Core, keep: (q: Upload) => boolean): void {
  const u = c.uploads;
  u.queue = u.queue.filter((q) => {
    if (keep(q)) return true;
    u.bytes -= q.o.bytes(q.piece, q.mask);
    q.n.queued--;
    const p = q.o.piece[q.piece];
    if (p.parked > 0 && p.missing !== 0) p.parked--;
    return false;
  });
}

/** Refuses what neighbours wait for and will not come. */
export function unpark(c: Core, o: SwarmObject, i: number): void {
  filterUploads(c, (q) => {
    if (q.o !== o || q.piece !== i) return true;
    refuse(c, q.n, o, i, NOT_HELD);
    return false;
  });
}
