// What the scheduler knows of objects and of neighbours; the twin of object.go.

import { bitfieldLength, hasBit, LEAF_SIZE } from "../wire";
import { MAX_WINDOW, MIN_WINDOW } from "./config";
import { CDN, type Event } from "./event";

/** Who a leaf is expected from. */
export const NOBODY = -2;
export const FROM_CDN = CDN;

/** What is under way for one leaf that we do not hold. */
export interface LeafState {
  from: number; // pending at: NOBODY, FROM_CDN or a neighbour
  late: number; // a neighbour that was asked before and may still deliver
  sentMs: number;
  dueMs: number; // when from is expected to have delivered
}

/** A segment, an init section or a part whose signed record is known. */
export class SwarmObject {
  readonly id: number;
  readonly rendition: number;
  readonly leaves: number;
  readonly sequence: number;
  readonly size: number;
  deadlineMs: number; // 0: not wanted

  readonly have: Uint8Array;
  missing: number; // leaves not held
  open: number; // leaves not held and not pending anywhere
  readonly leaf: LeafState[] = [];
  readonly holders: Int32Array; // neighbours that hold each leaf

  fetchFailures = 0; // CDN requests that failed in a row
  fetchBlockedMs = 0; // it is not fetched before then
  fresh: number[] = []; // leaves verified since the last announcement
  lastGainMs = 0;

  constructor(
    e: Event,
    readonly slot: number, // index into every neighbour's holdings
    readonly addedMs: number,
  ) {
    this.id = e.object;
    this.rendition = e.rendition;
    this.leaves = this.missing = this.open = e.leaves;
    this.sequence = e.sequence;
    this.size = e.size;
    this.deadlineMs = e.value;
    this.have = new Uint8Array(bitfieldLength(e.leaves));
    this.holders = new Int32Array(e.leaves);
    for (let i = 0; i < e.leaves; i++) this.leaf.push({ from: NOBODY, late: NOBODY, sentMs: 0, dueMs: 0 });
  }

  has(leaf: number): boolean {
    return hasBit(this.have, leaf);
  }

  isOpen(leaf: number): boolean {
    return !this.has(leaf) && this.leaf[leaf].from === NOBODY;
  }

  /** The size of one leaf: all are full but the last. */
  leafBytes(leaf: number): number {
    return Math.min(LEAF_SIZE, this.size - leaf * LEAF_SIZE);
  }
}

/** A viewer or seeder at the other end of a data channel. */
export class Neighbour {
  readonly holds: (Uint8Array | undefined)[] = []; // by object slot; undefined: nothing known
  readonly announced: boolean[] = []; // by object slot: a HAVE was sent, gains may follow

  inflight = 0; // bytes that it owes us
  blockedMs = 0; // not asked before then
  strikes = 0;
  lies = 0;
  unsolicited = 0;
  overAsked = 0;

  buffered = 0; // bytes in our send buffer towards it
  drainedMs = 0; // when that last shrank or began to fill
  queued = 0; // uploads queued for it

  constructor(
    readonly id: number,
    public rate: number, // bytes/s at which it delivers, estimated
    public progressMs: number, // when it last delivered, or first owed
  ) {}

  holdsLeaf(o: SwarmObject, leaf: number): boolean {
    const bits = this.holds[o.slot];
    return bits !== undefined && hasBit(bits, leaf);
  }

  /** How much may be owed to us at once. */
  windowBytes(pipelineMs: number): number {
    const bytes = Math.trunc((this.rate * pipelineMs) / 1000);
    return Math.min(Math.max(bytes, MIN_WINDOW * LEAF_SIZE), MAX_WINDOW * LEAF_SIZE);
  }

  /** How long a further leaf from it would take. */
  etaMs(bytes: number): number {
    return Math.trunc(((this.inflight + bytes) * 1000) / this.rate);
  }
}
