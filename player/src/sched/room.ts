// The books: which objects there are, who is here and who holds what; the twin of
// room.go.

import { bitfieldLength, hasBit, LEAF_SIZE, setBit } from "../wire";
import type { Core } from "./core";
import { INITIAL_RATE } from "./config";
import { Do, type Event } from "./event";
import { stripe } from "./mix32";
import { Neighbour, NOBODY, SwarmObject } from "./object";
import { release } from "./pull";
import { announceTo, removeUploads } from "./upload";

export function addObject(c: Core, e: Event): void {
  if (
    e.object < 0 ||
    e.leaves < 1 ||
    e.leaves > 4096 ||
    e.sequence < 0 ||
    e.size <= (e.leaves - 1) * LEAF_SIZE ||
    e.size > e.leaves * LEAF_SIZE ||
    c.object(e.object)
  ) {
    return;
  }
  let slot = 0;
  while (slot < c.objects.length && c.objects[slot]) slot++;
  if (slot === c.objects.length) {
    c.objects.push(undefined);
    for (const n of c.neighbours) {
      n.holds.push(undefined);
      n.announced.push(false);
    }
  }
  const o = new SwarmObject(e, slot, c.nowMs);
  c.objects[slot] = o;
  c.bySlot.set(o.id, slot);
  if (o.deadlineMs > 0) insertWanted(c, o);
}

/**
 * Sets or moves an object's deadline. What neighbours owe of an object that is no
 * longer wanted is taken back; a CDN request under way ends by itself.
 */
export function want(c: Core, o: SwarmObject, deadlineMs: number): void {
  removeWanted(c, o);
  o.deadlineMs = deadlineMs;
  if (deadlineMs <= 0) cancelPulls(c, o);
  else if (o.missing > 0) insertWanted(c, o);
}

function cancelPulls(c: Core, o: SwarmObject): void {
  for (let leaf = 0; leaf < o.leaves; leaf++) {
    if (o.leaf[leaf].from >= 0) cancelPull(c, o, leaf);
  }
}

/** Takes a request to a neighbour back; the leaf may be on its way already and is still welcome. */
export function cancelPull(c: Core, o: SwarmObject, leaf: number): void {
  const from = o.leaf[leaf].from;
  release(c, o, leaf);
  o.leaf[leaf].late = from;
  c.do(Do.SendCancel, { neighbour: from, object: o.id, leaf });
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
  const i = c.wanted.indexOf(o);
  if (i >= 0) c.wanted.splice(i, 1);
}

export function removeObject(c: Core, o: SwarmObject): void {
  cancelPulls(c, o);
  removeWanted(c, o);
  removeUploads(c, (q) => q.object === o.id);
  for (const n of c.neighbours) {
    if (n.announced[o.slot]) c.do(Do.SendLost, { neighbour: n.id, object: o.id });
    n.holds[o.slot] = undefined;
    n.announced[o.slot] = false;
  }
  c.objects[o.slot] = undefined;
  c.bySlot.delete(o.id);
}

export function addNeighbour(c: Core, id: number): void {
  if (id < 0 || c.neighbour(id)) return;
  const n = new Neighbour(id, INITIAL_RATE, c.nowMs);
  for (let i = 0; i < c.objects.length; i++) {
    n.holds.push(undefined);
    n.announced.push(false);
  }
  let i = c.neighbours.length;
  while (i > 0 && c.neighbours[i - 1].id > id) i--;
  c.neighbours.splice(i, 0, n);
  for (const o of c.objects) {
    if (o) announceTo(c, n, o);
  }
}

export function removeNeighbour(c: Core, n: Neighbour): void {
  for (const o of c.objects) {
    if (o) {
      writeOff(c, o, n);
      lost(o, n);
    }
  }
  removeUploads(c, (q) => q.n === n);
  c.neighbours.splice(c.neighbours.indexOf(n), 1);
}

/**
 * Strikes what a neighbour owes of an object from its account: it will not send. The
 * channel keeps the order: what it did send came before it said so.
 */
export function writeOff(c: Core, o: SwarmObject, n: Neighbour): void {
  for (let leaf = 0; leaf < o.leaves; leaf++) {
    if (o.leaf[leaf].from === n.id) release(c, o, leaf);
    if (o.leaf[leaf].late === n.id) o.leaf[leaf].late = NOBODY;
  }
}

/** Closes the connection to a neighbour and forgets it at once. */
export function drop(c: Core, n: Neighbour, reason: number): void {
  c.do(Do.Drop, { neighbour: n.id, reason });
  removeNeighbour(c, n);
}

export function setDuty(c: Core, rendition: number, stripes: number): void {
  const duty = c.duties.find((d) => d.rendition === rendition);
  if (duty) duty.stripes = stripes;
  else c.duties.push({ rendition, stripes });
}

export function onDuty(c: Core, o: SwarmObject, leaf: number): boolean {
  const duty = c.duties.find((d) => d.rendition === o.rendition);
  return duty !== undefined && ((duty.stripes >> stripe(leaf, o.leaves, o.sequence)) & 1) !== 0;
}

export function have(o: SwarmObject, n: Neighbour, bits: Uint8Array): void {
  if (bits.length !== bitfieldLength(o.leaves)) return;
  lost(o, n);
  const held = bits.slice();
  n.holds[o.slot] = held;
  for (let leaf = 0; leaf < o.leaves; leaf++) {
    if (hasBit(held, leaf)) o.holders[leaf]++;
  }
}

export function gain(o: SwarmObject, n: Neighbour, leaf: number): void {
  const held = (n.holds[o.slot] ??= new Uint8Array(bitfieldLength(o.leaves)));
  if (!hasBit(held, leaf)) {
    setBit(held, leaf);
    o.holders[leaf]++;
  }
}

export function lost(o: SwarmObject, n: Neighbour): void {
  const bits = n.holds[o.slot];
  if (!bits) return;
  for (let leaf = 0; leaf < o.leaves; leaf++) {
    if (hasBit(bits, leaf)) o.holders[leaf]--;
  }
  n.holds[o.slot] = undefined;
}
