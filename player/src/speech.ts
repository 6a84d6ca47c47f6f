// What we say to neighbours of objects: the scheduler's actions become messages, and
// what a neighbour asks for is answered.

import type { Bytes } from "./bytes";
import { HASH_SIZE } from "./manifest";
import type { Neighbour } from "./neighbour";
import type { Carried } from "./objects";
import { Do, type Action } from "./sched";
import type { Store } from "./store";
import {
  bitfieldLength,
  FLAG_NEED_LIST,
  hasBit,
  MAX_BATCH,
  MAX_LIST_LEAVES,
  NOT_HELD,
  pieceCount,
  pieceLeaves,
  pieceSpan,
  setBit,
  type Key,
  type Wanted,
} from "./wire";

/** What this needs of the session. */
export interface SpeechHost {
  object(id: number): Carried | undefined;
  /** Whether our uplink has carried a leaf in time: before, it must be known when one has arrived. */
  proven(): boolean;
  uploaded(bytes: number): void;
}

/** Consecutive actions that can be one message. */
export function* batches(actions: readonly Action[]): Generator<readonly Action[]> {
  for (let i = 0; i < actions.length; ) {
    const a = actions[i];
    let end = i + 1;
    while (end < actions.length && end - i < MAX_BATCH && BATCHED.includes(a.kind) && together(a, actions[end])) end++;
    yield actions.slice(i, end);
    i = end;
  }
}

const BATCHED: readonly number[] = [Do.SendGain, Do.SendComing, Do.SendRequest, Do.SendCancel, Do.SendRefuse];

function together(a: Action, b: Action): boolean {
  return a.kind === b.kind && a.neighbour === b.neighbour && a.object === b.object && a.reason === b.reason;
}

export class Speech {
  constructor(
    private readonly host: SpeechHost,
    private readonly store: Store,
  ) {}

  /** Does what the scheduler says of one object. */
  act(n: Neighbour, batch: readonly Action[]): void {
    const [a] = batch;
    if (a.kind === Do.SendLost) {
      const key = n.told.get(a.object);
      n.told.delete(a.object);
      if (key) n.outbox.mention({ type: "LOST", key });
      return;
    }
    const o = this.host.object(a.object);
    if (!o) return;
    const { key } = o;
    const pieces = batch.map((x) => x.piece);
    switch (a.kind) {
      case Do.SendHave:
        if (n.told.has(o.id) && this.store.heldBytes(key) === 0) return; // it knows the record
        return this.have(n, o);
      case Do.SendGain:
        return n.outbox.send({ type: "GAIN", key, pieces });
      case Do.SendComing:
        return n.outbox.send({ type: "COMING", key, pieces });
      case Do.SendRequest: {
        const flags = this.store.listed(key) ? 0 : FLAG_NEED_LIST;
        return n.outbox.send({ type: "REQUEST", key, flags, wanted: batch.map((x): Wanted => [x.piece, x.mask]) });
      }
      case Do.SendCancel:
        return n.outbox.send({ type: "CANCEL", key, pieces });
      case Do.SendRefuse:
        return n.outbox.send({ type: "REFUSE", key, reason: a.reason, pieces });
      case Do.SendLeaf:
        this.leaf(n, o, a.leaf);
    }
  }

  have(n: Neighbour, o: Carried): void {
    n.told.set(o.id, o.key);
    n.outbox.send({ type: "HAVE", key: o.key, leaves: o.leaves, bitfield: this.pieces(o) });
  }

  /** Each record goes out once, so that asking again costs us nothing. */
  record(n: Neighbour, key: Key, o: Carried | undefined): void {
    if (!o) return n.outbox.send({ type: "LOST", key });
    if (n.recordSent.has(key)) return;
    n.recordSent.add(key);
    n.outbox.send({ type: "RECORD", key, data: o.record.encoded });
  }

  /**
   * Gives a neighbour a leaf list, once. If we have none yet, because what it asks for is only on its way to us, it gets it
   * before the first leaf.
   */
  list(n: Neighbour, key: Key): void {
    if (n.lists.get(key)) return;
    const hashes = this.store.leafList(key);
    n.lists.set(key, hashes !== undefined);
    if (hashes && hashes.length <= MAX_LIST_LEAVES * HASH_SIZE) n.outbox.send({ type: "LEAVES", key, hashes });
  }

  private leaf(n: Neighbour, o: Carried, leaf: number): void {
    const data = this.store.leaf(o.key, leaf);
    if (!data) {
      n.outbox.send({ type: "REFUSE", key: o.key, reason: NOT_HELD, pieces: [Math.trunc(leaf / pieceLeaves(o.leaves))] });
      return;
    }
    if (n.lists.get(o.key) === false) this.list(n, o.key);
    if (!n.outbox.conclude({ type: "LEAF", key: o.key, leaf, data })) return;
    if (!this.host.proven()) n.sounding.sent(data.length);
    this.host.uploaded(data.length);
  }

  /** Which pieces we hold. */
  private pieces(o: Carried): Bytes {
    const bits = this.store.bitfield(o.key) ?? new Uint8Array(bitfieldLength(o.leaves));
    const count = pieceCount(o.leaves);
    const pieces = new Uint8Array(bitfieldLength(count));
    for (let piece = 0; piece < count; piece++) {
      const { first, count: length } = pieceSpan(piece, o.leaves);
      let held = true;
      for (let leaf = first; leaf < first + length; leaf++) held &&= hasBit(bits, leaf);
      if (held) setBit(pieces, piece);
    }
    return pieces;
  }
}
