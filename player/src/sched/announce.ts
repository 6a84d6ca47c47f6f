// Tells neighbours what we hold and what is on its way to us; the twin of announce.go.

import { LEAF_SIZE } from "../wire";
import { BUSY_SHARE, EASE_MAX_MS, EASE_SHARE, EASY_MS, GATHER_MAX_MS, GATHER_SHARE, SLACK_MAX_MS } from "./config";
import type { Core } from "./core";
import { Do } from "./event";
import { busyMs } from "./load";
import type { Neighbour } from "./neighbour";
import type { SwarmObject } from "./object";
import { inSet, next } from "./piece";
import { doubtful, starting } from "./trial";
import { uplink } from "./upload";

/**
 * Whether we announce pieces of an object: not without consent, and not while our uplink
 * is so slow that a piece of it would always come too late.
 */
export function offers(c: Core, o: SwarmObject): boolean {
  return !c.cfg.noUpload && o.each * LEAF_SIZE * 1000 <= uplink(c) * 2 * c.cfg.queueMs;
}

/**
 * Whether we announce them to a neighbour: to one only, while it is doubtful whether our
 * uplink is of use, because announcements are uplink, too.
 */
export function offersTo(c: Core, n: Neighbour, o: SwarmObject): boolean {
  if (starting(c)) return false;
  if (doubtful(c)) return n.id === c.uploads.trial.with && !c.cfg.noUpload;
  return offers(c, o);
}

/**
 * Tells neighbours of new objects, and what we have of them, be it nothing. It comes before
 * anything is fetched, because a HAVE replaces all that was said of an object, so also a
 * COMING just before it. On a busy machine it waits until there is more to say.
 */
export function introduce(c: Core): void {
  for (const o of c.added) {
    if (busyMs(c) > 0) {
      hasNews(c, o);
      continue;
    }
    for (const n of c.neighbours) {
      if (!o.told[n.seat] && !o.knows[n.seat]) announceTo(c, n, o);
    }
  }
  c.added.length = 0;
}

/** Tells neighbours what we gained, gathered so that a burst of pieces is one message. */
export function announce(c: Core): void {
  if (c.cfg.noUpload) return;
  for (const o of c.objects) {
    if (!o.news || c.nowMs - o.lastGainMs < gatherMs(c, o) || c.nowMs - o.newsMs < easeMs(c, o)) continue;
    o.lastGainMs = c.nowMs;
    for (const n of c.neighbours) {
      if (!offersTo(c, n, o)) o.told[n.seat] = false; // a HAVE makes up for it later
      else if (!o.told[n.seat]) announceTo(c, n, o);
      else announceGains(c, n, o);
    }
    o.fresh.fill(0);
    o.news = false;
  }
}

/** Notes that there is something to announce of an object. */
export function hasNews(c: Core, o: SwarmObject): void {
  if (o.news) return;
  o.news = true;
  o.newsMs = c.nowMs;
}

function announceGains(c: Core, n: Neighbour, o: SwarmObject): void {
  const held = o.heldBy(n);
  for (let i = next(o.fresh, 0); i >= 0; i = next(o.fresh, i + 1)) {
    if (!inSet(held, i)) c.do(Do.SendGain, { neighbour: n.id, object: o.id, piece: i });
  }
}

export function announceTo(c: Core, n: Neighbour, o: SwarmObject): void {
  const worth = o.lacking < o.pieces || (o.deadlineMs > 0 && !o.knows[n.seat]);
  if (!worth || !offersTo(c, n, o)) return;
  o.told[n.seat] = true;
  c.do(Do.SendHave, { neighbour: n.id, object: o.id });
}

/** Tells neighbours that pieces are on their way from the CDN, so that nobody near fetches them too. */
export function announceComing(c: Core, o: SwarmObject, first: number, last: number): void {
  for (const n of c.neighbours) {
    if (!offersTo(c, n, o)) continue;
    if (!o.told[n.seat]) announceTo(c, n, o);
    const held = o.heldBy(n);
    const promised = o.promisedBy(n);
    for (let i = first; i <= last; i++) {
      if (!inSet(held, i) && !inSet(promised, i)) c.do(Do.SendComing, { neighbour: n.id, object: o.id, piece: i });
    }
  }
}

/**
 * How long gains of an object are gathered: longer where there is time, because a
 * message costs a viewer about as much as five packets of media.
 */
function gatherMs(c: Core, o: SwarmObject): number {
  return Math.min(Math.max(Math.trunc((o.deadlineMs - c.nowMs) / GATHER_SHARE), c.cfg.gainIntervalMs), GATHER_MAX_MS);
}

/**
 * How long the first gain waits for others: not at all where objects come late, some while
 * where they have lately been complete long before they were needed, or where the machine is
 * too busy for many messages; then a quarter of the time that is left at most, because each
 * neighbour on the way to a viewer may wait as long.
 */
function easeMs(c: Core, o: SwarmObject): number {
  const easy = Math.min(Math.trunc(Math.max(c.slackMs - EASY_MS, 0) / EASE_SHARE), EASE_MAX_MS);
  return Math.max(easy, Math.min(busyMs(c), Math.trunc((o.deadlineMs - c.nowMs) / BUSY_SHARE)));
}

/** Notes how much time an object leaves. */
export function completed(c: Core, o: SwarmObject): void {
  if (o.deadlineMs <= 0) return;
  c.slackMs = Math.trunc((3 * c.slackMs + Math.min(Math.max(o.deadlineMs - c.nowMs, 0), SLACK_MAX_MS)) / 4);
}
