// The books of objects: which there are, which are wanted, which of their pieces are our
// duty; the twin of room.go.

import { LEAF_SIZE, MAX_LEAVES } from "../wire";
import { forgetActing, markActing } from "./acting";
import type { Core } from "./core";
import { Do, type Event } from "./event";
import { SwarmObject } from "./object";
import { add, stripe } from "./piece";
import { cancelPulls } from "./pull";
import { filterUploads } from "./upload";

export function addObject(c: Core, e: Event): void {
  if (
    e.object < 0 ||
    e.leaves < 1 ||
    e.leaves > MAX_LEAVES ||
    e.sequence < 0 ||
    e.size <= (e.leaves - 1) * LEAF_SIZE ||
    e.size > e.leaves * LEAF_SIZE ||
    c.object(e.object)
  ) {
    return;
  }
  const o = new SwarmObject(e, c.seats.length, c.nowMs);
  c.objects.push(o);
  c.byId.set(o.id, o);
  markDuty(c, o);
  markActing(c, o);
  c.added.push(o);
  if (o.deadlineMs > 0) insertWanted(c, o);
}

/**
 * Sets or moves an object's deadline. What neighbours owe of an object that is no
 * longer wanted is taken back; a CDN request under way ends by itself.
 */
export function want(c: Core, o: SwarmObject, deadlineMs: number): void {
  removeWanted(c, o);
  if (o.deadlineMs <= 0) o.addedMs = c.nowMs;
  o.deadlineMs = deadlineMs;
  if (deadlineMs <= 0) cancelPulls(c, o);
  else if (o.missing > 0) insertWanted(c, o);
}

function insertWanted(c: Core, o: SwarmObject): void {
  let i = c.wanted.length;
  while (
    i > 0 &&
    (c.wanted[i - 1].deadlineMs > o.deadlineMs ||
      (c.wanted[i - 1].deadlineMs === o.deadlineMs && c.wanted[i - 1].id > o.id))
  ) {
    i--;
  }
  c.wanted.splice(i, 0, o);
}

export function removeWanted(c: Core, o: SwarmObject): void {
  without(c.wanted, o);
}

function without(list: SwarmObject[], o: SwarmObject): void {
  const i = list.indexOf(o);
  if (i >= 0) list.splice(i, 1);
}

export function removeObject(c: Core, o: SwarmObject): void {
  cancelPulls(c, o);
  removeWanted(c, o);
  filterUploads(c, (q) => q.o !== o);
  for (const n of c.neighbours) {
    if (o.told[n.seat]) c.do(Do.SendLost, { neighbour: n.id, object: o.id });
  }
  without(c.objects, o);
  c.byId.delete(o.id);
  without(c.added, o);
}

export function setDuty(c: Core, rendition: number, stripes: number): void {
  const duty = c.duties.find((d) => d.rendition === rendition);
  if (duty) duty.stripes = stripes;
  else c.duties.push({ rendition, stripes });
  forgetActing(c, rendition);
  for (const o of c.objects) if (o.rendition === rendition) markDuty(c, o);
}

function markDuty(c: Core, o: SwarmObject): void {
  o.duty.fill(0);
  const duty = c.duties.find((d) => d.rendition === o.rendition);
  for (let i = 0; duty && i < o.pieces; i++) {
    if (((duty.stripes >> stripe(i, o.pieces, o.sequence)) & 1) !== 0) add(o.duty, i);
  }
}
