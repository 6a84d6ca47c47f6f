// Serves neighbours: what to announce, whom to serve next, and when to say no because
// it could not arrive in time; the twin of upload.go.

import { BUSY, LEAF_SIZE, NOT_HELD } from "../wire";
import {
  ASK_STRIKES,
  ASSUMED_UPLINK,
  BUFFER_MIN,
  BUFFER_MS,
  BUFFER_UNKNOWN,
  MAX_QUEUE,
  MAX_QUEUED_EACH,
  MAX_RATE,
  MIN_RATE,
  STALE_UPLOAD_MS,
  UPLINK_BUSY_BYTES,
  UPLINK_SAMPLE_MS,
} from "./config";
import type { Core } from "./core";
import { Do, Reason, TICK_MS } from "./event";
import type { Neighbour, SwarmObject } from "./object";
import { drop } from "./room";

export interface Upload {
  n: Neighbour;
  object: number;
  leaf: number;
  bytes: number;
  queuedMs: number;
}

/** The queue of requests to serve, first come first served, and what is known of the uplink that serves it. */
export class Uploads {
  queue: Upload[] = [];
  bytes = 0; // in queue

  rate = 0; // bytes/s, estimated; 0: never saturated, so not known
  sinceMs = 0; // start of the running measurement
  drained = 0; // bytes drained in it
  allowance = 0; // bytes that the configured cap still allows
  allowedMs = 0; // when allowance was last topped up

  sample(nowMs: number, elapsedMs: number): void {
    const sample = Math.max(Math.min(Math.trunc((this.drained * 1000) / elapsedMs), MAX_RATE), MIN_RATE);
    if (this.rate === 0) this.rate = sample;
    this.rate = Math.trunc((this.rate * 3 + sample) / 4);
    this.sinceMs = nowMs;
    this.drained = 0;
  }
}

export function requested(c: Core, o: SwarmObject, n: Neighbour, leaf: number): void {
  const u = c.uploads;
  if (c.cfg.noUpload || !o.has(leaf)) {
    c.do(Do.SendRefuse, { neighbour: n.id, object: o.id, leaf, reason: NOT_HELD });
  } else if (u.queue.some((q) => q.n === n && q.object === o.id && q.leaf === leaf)) {
    return; // a refusal would be a lie: it will be sent
  } else if (n.queued >= MAX_QUEUED_EACH) {
    if (++n.overAsked >= ASK_STRIKES) drop(c, n, Reason.TooManyAsked);
    else refuse(c, n, o.id, leaf);
  } else if (u.queue.length >= MAX_QUEUE || u.bytes + waiting(c) > Math.trunc((uplink(c) * c.cfg.queueMs) / 1000)) {
    refuse(c, n, o.id, leaf);
  } else {
    n.queued++;
    const bytes = o.leafBytes(leaf);
    u.queue.push({ n, object: o.id, leaf, bytes, queuedMs: c.nowMs });
    u.bytes += bytes;
  }
}

function refuse(c: Core, n: Neighbour, object: number, leaf: number): void {
  c.do(Do.SendRefuse, { neighbour: n.id, object, leaf, reason: BUSY });
}

/** The estimate used for decisions: measured, else assumed, never above the cap. */
function uplink(c: Core): number {
  const rate = c.uploads.rate || ASSUMED_UPLINK;
  return c.cfg.uploadBytesPerSec > 0 ? Math.min(rate, c.cfg.uploadBytesPerSec) : rate;
}

/**
 * Hands leaves to the transport, but never more than it will send within about
 * BUFFER_MS: what waits here can still be cancelled or refused.
 */
export function upload(c: Core): void {
  const u = c.uploads;
  if (u.queue.length === 0) return;
  const limit = u.rate > 0 ? Math.max(Math.trunc((uplink(c) * BUFFER_MS) / 1000), BUFFER_MIN) : BUFFER_UNKNOWN;
  let total = waiting(c);
  topUpAllowance(c);
  const kept: Upload[] = [];
  for (const q of u.queue) {
    if (c.nowMs - q.queuedMs > STALE_UPLOAD_MS) {
      u.bytes -= q.bytes;
      q.n.queued--;
      refuse(c, q.n, q.object, q.leaf);
    } else if (clogged(c, q.n) || (total + q.bytes > limit && total > 0) || !allowed(c, q.bytes)) {
      kept.push(q);
    } else {
      u.bytes -= q.bytes;
      q.n.queued--;
      buffered(c, q.n, q.n.buffered + q.bytes);
      total += q.bytes;
      c.do(Do.SendLeaf, { neighbour: q.n.id, object: q.object, leaf: q.leaf });
    }
  }
  u.queue = kept;
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

/** Books how much the transport still holds for a neighbour. */
export function buffered(c: Core, n: Neighbour, bytes: number): void {
  const u = c.uploads;
  if (waiting(c) === 0) {
    u.sinceMs = c.nowMs;
    u.drained = 0;
  }
  const drained = n.buffered - Math.max(bytes, 0);
  if (drained > 0 || n.buffered === 0) n.drainedMs = c.nowMs;
  n.buffered -= drained;
  if (drained > 0) {
    u.drained += drained;
    raiseUplink(c);
  }
}

/**
 * Whether a neighbour takes nothing any more: it died, or does not want to read. It
 * must not hold up the others, nor speak for our uplink.
 */
function clogged(c: Core, n: Neighbour): boolean {
  return n.buffered > 0 && c.nowMs - n.drainedMs >= c.cfg.progressMs;
}

/** What the send buffers that move hold in all. */
function waiting(c: Core): number {
  let total = 0;
  for (const n of c.neighbours) {
    if (!clogged(c, n)) total += n.buffered;
  }
  return total;
}

/**
 * Takes a sample whenever the send buffers held UPLINK_BUSY_BYTES for
 * UPLINK_SAMPLE_MS: only a busy uplink shows its rate. Less than that is on its way
 * for a round trip on any uplink. Where nothing drained there was no uplink.
 */
export function measureUplink(c: Core): void {
  const u = c.uploads;
  const elapsed = c.nowMs - u.sinceMs;
  if (waiting(c) < UPLINK_BUSY_BYTES) {
    u.sinceMs = c.nowMs;
    u.drained = 0;
  } else if (elapsed >= UPLINK_SAMPLE_MS && u.drained > 0) {
    u.sample(c.nowMs, elapsed);
  }
}

/**
 * Lets an estimate that has become too low recover: buffers that ran empty early are a
 * lower bound. An uplink believed slow is never asked for enough to be busy long.
 */
function raiseUplink(c: Core): void {
  const u = c.uploads;
  const elapsed = Math.max(c.nowMs - u.sinceMs, TICK_MS); // the transport takes the first leaf in no time
  if (waiting(c) === 0 && u.rate > 0 && Math.trunc((u.drained * 1000) / elapsed) > u.rate) u.sample(c.nowMs, elapsed);
}

export function removeUploads(c: Core, gone: (q: Upload) => boolean): void {
  const u = c.uploads;
  u.queue = u.queue.filter((q) => {
    if (!gone(q)) return true;
    u.bytes -= q.bytes;
    q.n.queued--;
    return false;
  });
}

/** Tells neighbours what we gained, gathered over gainIntervalMs so that a burst of leaves is one message. */
export function announce(c: Core, tick: boolean): void {
  if (c.cfg.noUpload) return;
  for (const o of c.objects) {
    if (!o || o.fresh.length === 0) continue;
    if (!tick && c.nowMs - o.lastGainMs < c.cfg.gainIntervalMs) continue;
    o.lastGainMs = c.nowMs;
    for (const n of c.neighbours) {
      if (!n.announced[o.slot]) {
        announceTo(c, n, o);
        continue;
      }
      for (const leaf of o.fresh) {
        if (!n.holdsLeaf(o, leaf)) c.do(Do.SendGain, { neighbour: n.id, object: o.id, leaf });
      }
    }
    o.fresh = [];
  }
}

export function announceTo(c: Core, n: Neighbour, o: SwarmObject): void {
  if (o.missing < o.leaves && !c.cfg.noUpload) {
    n.announced[o.slot] = true;
    c.do(Do.SendHave, { neighbour: n.id, object: o.id });
  }
}
