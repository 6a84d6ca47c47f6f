// What the scheduler knows of objects and their pieces; the twin of object.go.

import { LEAF_SIZE, pieceCount, pieceLeaves } from "../wire";
import { CDN, type Event } from "./event";
import type { Neighbour } from "./neighbour";
import { add, newSet, setWords, type PieceSet } from "./piece";

/** Who a piece is expected from. */
export const NOBODY = -2;
export const FROM_CDN = CDN;

/** What is known and under way of one piece. Masks are of its leaves. */
export interface Piece {
  from: number; // pending at: NOBODY, FROM_CDN or a neighbour
  late: number; // a neighbour that was asked before and may still deliver
  holders: number; // neighbours that hold it and are not mute
  parked: number; // neighbours that wait for it
  advance: boolean; // from had not announced it yet when it was asked
  sentMs: number; // when from was asked
  dueMs: number; // when from is expected to have delivered
  comingMs: number; // until then a neighbour's word counts that it is on its way there
  missing: number; // leaves that are not verified
  owed: number; // leaves asked of from and not sent by it yet
  lateOwed: number; // leaves that may still come from late
}

/** A segment, an init section or a part whose signed record is known. */
export class SwarmObject {
  readonly id: number;
  readonly rendition: number;
  readonly leaves: number;
  readonly sequence: number;
  readonly size: number;
  readonly pieces: number;
  readonly each: number; // leaves of a piece
  deadlineMs: number; // 0: not wanted

  missing: number; // leaves not held
  onWay = 0; // leaves of those that are pending anywhere
  lacking: number; // pieces not held
  readonly piece: Piece[] = [];
  readonly open: PieceSet; // pieces that are not held and not pending anywhere
  readonly duty: PieceSet; // pieces that are ours to fetch from the CDN
  readonly acting: PieceSet; // likewise, untold: see acting.go
  readonly standing: PieceSet; // pieces that we would fetch untold and leave to others this time
  rescued = 0; // stripes that we had to rescue
  readonly fresh: PieceSet; // pieces verified since the last announcement
  news = false; // fresh is not empty
  readonly held: PieceSet[] = []; // by seat of a neighbour: the pieces that it holds
  readonly promised: PieceSet[] = []; // likewise: the pieces that it once said are coming
  readonly hoped: PieceSet[] = []; // likewise: of those, what it may be asked for in advance
  readonly knows: boolean[] = []; // by seat: it has spoken of the object
  readonly told: boolean[] = []; // by seat: a HAVE was sent, gains may follow

  fetchFailures = 0; // CDN requests that failed in a row
  fetchBlockedMs = 0; // it is not fetched before then
  lastGainMs = 0;
  newsMs = 0; // when the first of fresh came

  constructor(
    e: Event,
    seats: number,
    public addedMs: number, // or when it was wanted anew
  ) {
    this.id = e.object;
    this.rendition = e.rendition;
    this.leaves = this.missing = e.leaves;
    this.sequence = e.sequence;
    this.size = e.size;
    this.deadlineMs = e.value;
    this.each = pieceLeaves(e.leaves);
    this.pieces = this.lacking = pieceCount(e.leaves);
    this.open = this.noPieces();
    this.duty = this.noPieces();
    this.acting = this.noPieces();
    this.standing = this.noPieces();
    this.fresh = this.noPieces();
    for (let i = 0; i < seats; i++) this.addSeat();
    for (let i = 0; i < this.pieces; i++) {
      this.piece.push({
        from: NOBODY,
        late: NOBODY,
        holders: 0,
        parked: 0,
        advance: false,
        sentMs: 0,
        dueMs: 0,
        comingMs: 0,
        missing: this.all(i),
        owed: 0,
        lateOwed: 0,
      });
      add(this.open, i);
    }
  }

  addSeat(): void {
    this.held.push(this.noPieces());
    this.promised.push(this.noPieces());
    this.hoped.push(this.noPieces());
    this.knows.push(false);
    this.told.push(false);
  }

  /** The mask of all leaves of a piece. */
  all(i: number): number {
    return (1 << Math.min(this.each, this.leaves - i * this.each)) - 1;
  }

  has(i: number): boolean {
    return this.piece[i].missing === 0;
  }

  /** The piece that a leaf is in. */
  pieceOf(leaf: number): number {
    return Math.trunc(leaf / this.each);
  }

  /** A leaf's bit in the masks of its piece. */
  bitOf(leaf: number): number {
    return 1 << (leaf % this.each);
  }

  hasLeaf(leaf: number): boolean {
    return (this.piece[this.pieceOf(leaf)].missing & this.bitOf(leaf)) === 0;
  }

  /** The size of one leaf: all are full but the last. */
  leafBytes(leaf: number): number {
    return Math.min(LEAF_SIZE, this.size - leaf * LEAF_SIZE);
  }

  /** The size of some leaves of a piece. */
  bytes(i: number, mask: number): number {
    let n = 0;
    for (let rest = mask; rest !== 0; rest &= rest - 1) n += LEAF_SIZE;
    const last = this.leaves - 1 - i * this.each;
    if (last < this.each && ((mask >> last) & 1) !== 0) n -= this.leaves * LEAF_SIZE - this.size;
    return n;
  }

  heldBy(n: Neighbour): PieceSet {
    return this.held[n.seat];
  }

  promisedBy(n: Neighbour): PieceSet {
    return this.promised[n.seat];
  }

  hopedOf(n: Neighbour): PieceSet {
    return this.hoped[n.seat];
  }

  private noPieces(): PieceSet {
    return newSet(setWords(this.pieces));
  }
}
