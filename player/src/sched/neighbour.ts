// What the scheduler knows of neighbours: who is here, who holds what; the twin of
// neighbour.go.

import { bitfieldLength, hasBit, LEAF_SIZE } from "../wire";
import { announceTo } from "./announce";
import { INITIAL_LEAF_US, MAX_LEAF_US, MAX_WINDOW, MIN_LEAF_US, MIN_WINDOW } from "./config";
import type { Core } from "./core";
import { Do } from "./event";
import { NOBODY, type SwarmObject } from "./object";
import { add, inSet, next, remove } from "./piece";
import { release } from "./pull";
import { filterUploads } from "./upload";

/** A viewer or seeder at the other end of a data channel. */
export class Neighbour {
  mute = false; // owed us something for too long: what it holds is not counted on

  leafUs = 0; // estimated time to deliver one leaf, µs
  window = 0; // bytes that it may owe us
  inflight = 0; // bytes that it owes us
  blockedMs = 0; // not asked before then
  strikes = 0;
  /** As busy, in a row without a leaf in between. */
  refusals = 0;
  lies = 0;
  unsolicited = 0;
  overAsked = 0;

  buffered = 0; // bytes in our send buffer towards it
  drainedMs = 0; // when that last shrank or began to fill
  filledMs = 0; // when it was last empty
  drained = 0; // bytes that left it in the running measurement of the uplink
  slow = false; // takes far less than the others
  queued = 0; // pieces queued for it
  served = 0; // bytes sent to it, or what the least served had when it first asked again

  constructor(
    readonly id: number,
    readonly seat: number, // its place in the books of objects
    public progressMs: number, // when it last delivered, or first owed
  ) {}

  /** How long bytes more from it would take. */
  etaMs(bytes: number): number {
    return Math.trunc(((this.inflight + bytes) * this.leafUs) / (LEAF_SIZE * 1000));
  }
}

/** Takes a new estimate of how long a leaf takes. */
export function learnPace(c: Core, n: Neighbour, leafUs: number): void {
  n.leafUs = Math.min(Math.max(leafUs, MIN_LEAF_US), MAX_LEAF_US);
  const window = Math.trunc((c.cfg.pipelineMs * 1000 * LEAF_SIZE) / n.leafUs);
  n.window = Math.min(Math.max(window, MIN_WINDOW * LEAF_SIZE), MAX_WINDOW * LEAF_SIZE);
}

/**
 * Whether so many bytes more may be asked of a neighbour now: enough to keep its uplink
 * busy over a round trip, little enough to go elsewhere soon. With at most a leaf on its
 * way it may be asked in any case, or it would idle meanwhile.
 */
export function hasRoom(c: Core, n: Neighbour, bytes: number): boolean {
  return n.blockedMs <= c.nowMs && (n.inflight <= LEAF_SIZE || n.inflight + bytes <= n.window);
}

export function addNeighbour(c: Core, id: number): void {
  if (id < 0 || c.neighbour(id)) return;
  let seat = 0;
  while (seat < c.seats.length && c.seats[seat]) seat++;
  if (seat === c.seats.length) for (const o of c.objects) o.addSeat();
  c.seats[seat] = true;
  const n = new Neighbour(id, seat, c.nowMs);
  learnPace(c, n, INITIAL_LEAF_US);
  let i = c.neighbours.length;
  while (i > 0 && c.neighbours[i - 1].id > id) i--;
  c.neighbours.splice(i, 0, n);
  for (const o of c.objects) announceTo(c, n, o);
}

export function removeNeighbour(c: Core, n: Neighbour): void {
  for (const o of c.objects) {
    writeOff(c, o, n);
    lost(o, n);
    o.told[n.seat] = o.knows[n.seat] = false;
  }
  filterUploads(c, (q) => q.n !== n);
  if (c.uploads.trial.leafTo === n.id) c.uploads.trial.leafTo = NOBODY;
  c.seats[n.seat] = false;
  c.neighbours.splice(c.neighbours.indexOf(n), 1);
}

/**
 * Strikes what a neighbour owes of an object from its account: it will not send. The
 * channel keeps the order: what it did send came before it said so.
 */
export function writeOff(c: Core, o: SwarmObject, n: Neighbour): void {
  for (let i = 0; i < o.pieces; i++) {
    const p = o.piece[i];
    if (p.from === n.id) release(c, o, i);
    if (p.late === n.id) {
      p.late = NOBODY;
      p.lateOwed = 0;
    }
  }
}

/** Closes the connection to a neighbour and forgets it at once. */
export function drop(c: Core, n: Neighbour, reason: number): void {
  c.do(Do.Drop, { neighbour: n.id, reason });
  removeNeighbour(c, n);
}

/** Replaces what is known of a neighbour's holdings. */
export function have(o: SwarmObject, n: Neighbour, bits: Uint8Array): void {
  if (bits.length !== bitfieldLength(o.pieces)) return;
  lost(o, n);
  o.knows[n.seat] = true;
  for (let i = 0; i < o.pieces; i++) if (hasBit(bits, i)) gain(o, n, i);
}

export function gain(o: SwarmObject, n: Neighbour, i: number): void {
  const held = o.heldBy(n);
  if (inSet(held, i)) return;
  add(held, i);
  if (!n.mute) o.piece[i].holders++;
}

export function notHeld(o: SwarmObject, n: Neighbour, i: number): void {
  const held = o.heldBy(n);
  if (!inSet(held, i)) return;
  remove(held, i);
  if (!n.mute) o.piece[i].holders--;
}

/** Forgets all that a neighbour said of an object. */
export function lost(o: SwarmObject, n: Neighbour): void {
  const held = o.heldBy(n);
  for (let i = next(held, 0); i >= 0; i = next(held, i + 1)) notHeld(o, n, i);
  o.promisedBy(n).fill(0);
  o.hopedOf(n).fill(0);
}

/**
 * Notes that somebody near has a piece on its way, once for each neighbour and piece: who
 * promises again and again delays nobody.
 */
export function coming(c: Core, o: SwarmObject, n: Neighbour, i: number): void {
  const promised = o.promisedBy(n);
  if (inSet(promised, i)) return;
  add(promised, i);
  add(o.hopedOf(n), i);
  o.piece[i].comingMs = c.nowMs + c.cfg.progressMs;
}

/**
 * Takes a neighbour's holdings off the books, or puts them back: what only the dead hold
 * is to be rescued like what nobody holds.
 */
export function setMute(c: Core, n: Neighbour, mute: boolean): void {
  if (n.mute === mute) return;
  n.mute = mute;
  const by = mute ? -1 : 1;
  for (const o of c.objects) {
    const held = o.heldBy(n);
    for (let i = next(held, 0); i >= 0; i = next(held, i + 1)) o.piece[i].holders += by;
  }
}
