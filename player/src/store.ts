// A viewer's bounded memory of verified segments, sibling of the Go package
// peer/store: nothing enters unverified, so whatever can be read out again may
// be played and passed on, however many strangers it came through.
//
// An object becomes known by its record (add), its leaf list must add up to the
// record's root (putLeaves), each leaf must match its hash in the list
// (putLeaf), a whole object must add up to the root (putObject). Hashing is
// asynchronous here, so an object is looked up again once its hash is known.
//
// Unlike its sibling, which pushes out whatever is oldest, it spares objects without
// data, which cost next to nothing, and those that somebody waits for: a player may
// seek back, a seeder never does.

import { concat, equalBytes, type Bytes } from "./bytes";
import { sha256 } from "./crypto";
import { HASH_SIZE, LEAF_SIZE, leafCount, leafHashes, leafLength, treeRoot, type SignedRecord } from "./manifest";
import { bitfieldLength, hasBit, keyOf, setBit, type Key } from "./wire";

/** What an object costs besides its data and its leaf list, so that the budget bounds their number too. */
const OVERHEAD = 1024;

/** Why something was not stored. */
export type Refusal =
  | "unknown" // no record of this object (any more)
  | "no-list" // a leaf cannot be checked before the leaf list is there
  | "duplicate" // held already
  | "collision" // another object has the same key
  | "budget" // larger than the whole store
  | "bad-list"
  | "bad-leaf"
  | "bad-object";

export type Outcome = "stored" | Refusal;

/** Whether an outcome proves that the sender sent something that the channel's owner did not sign. */
export function blames(outcome: Outcome): boolean {
  return outcome === "bad-list" || outcome === "bad-leaf" || outcome === "bad-object";
}

interface Held {
  record: SignedRecord;
  leaves: number;
  hashes?: Bytes[];
  /** Allocated when the first leaf arrives; its size is signed. */
  data?: Bytes;
  have: Bytes;
  held: number;
}

export class Store {
  private readonly objects = new Map<Key, Held>();
  private gone: SignedRecord[] = [];
  /** Bytes counted against the budget. */
  used = 0;

  /**
   * Keeps at most budget bytes: data, leaf lists, and 1 KiB for each object; more only
   * if nothing can be pushed out.
   */
  constructor(
    private readonly budget: number,
    private readonly awaited: (key: Key) => boolean = () => false,
  ) {}

  /** Makes an object known by its record, which the caller has verified. */
  add(record: SignedRecord): Outcome {
    const key = keyOf(record.root);
    const known = this.objects.get(key);
    if (known) return equalBytes(known.record.root, record.root) ? "duplicate" : "collision";
    const leaves = leafCount(record.size);
    if (OVERHEAD + leaves * HASH_SIZE + record.size > this.budget) return "budget";
    const o: Held = { record, leaves, have: new Uint8Array(bitfieldLength(leaves)), held: 0 };
    if (leaves === 1) o.hashes = [record.root]; // its only leaf hash is the root
    this.objects.set(key, o);
    this.used += cost(o);
    this.makeRoom(o);
    return "stored";
  }

  putLeaves(key: Key, hashes: Bytes[]): Outcome {
    const o = this.objects.get(key);
    if (!o) return "unknown";
    if (o.hashes) return "duplicate";
    if (hashes.length !== o.leaves || !equalBytes(treeRoot(hashes), o.record.root)) return "bad-list";
    this.grow(o, () => (o.hashes = hashes.map((h) => h.slice())));
    return "stored";
  }

  /** Copies one leaf into its object. */
  async putLeaf(key: Key, index: number, data: Bytes): Promise<Outcome> {
    const o = this.objects.get(key);
    if (!o) return "unknown";
    if (!o.hashes) return "no-list";
    if (index >= o.leaves || data.length !== leafLength(o.record.size, index)) return "bad-leaf";
    if (hasBit(o.have, index)) return "duplicate";
    if (!equalBytes(await sha256(data), o.hashes[index])) return "bad-leaf";
    if (this.objects.get(key) !== o) return "unknown";
    if (hasBit(o.have, index)) return "duplicate";
    if (!o.data) this.grow(o, () => (o.data = new Uint8Array(o.record.size)));
    o.data!.set(data, index * LEAF_SIZE);
    setBit(o.have, index);
    o.held++;
    return "stored";
  }

  /** Takes a whole object, for which no leaf list is needed, and keeps the bytes. */
  async putObject(key: Key, data: Bytes): Promise<Outcome> {
    const o = this.objects.get(key);
    if (!o) return "unknown";
    if (o.held === o.leaves) return "duplicate";
    if (data.length !== o.record.size) return "bad-object";
    const hashes = await leafHashes(data);
    if (!equalBytes(treeRoot(hashes), o.record.root)) return "bad-object";
    if (this.objects.get(key) !== o) return "unknown";
    this.grow(o, () => {
      o.hashes = hashes;
      o.data = data;
    });
    for (let i = 0; i < o.leaves; i++) setBit(o.have, i);
    o.held = o.leaves;
    return "stored";
  }

  /** Whether the object's leaf list is there. */
  listed(key: Key): boolean {
    return this.objects.get(key)?.hashes !== undefined;
  }

  complete(key: Key): boolean {
    const o = this.objects.get(key);
    return o !== undefined && o.held === o.leaves;
  }

  /** Verified bytes held of the object. */
  heldBytes(key: Key): number {
    const o = this.objects.get(key);
    if (!o || o.held === 0) return 0;
    const last = o.leaves - 1;
    const whole = o.held * LEAF_SIZE;
    return hasBit(o.have, last) ? whole - LEAF_SIZE + leafLength(o.record.size, last) : whole;
  }

  /** A copy of which leaves are held. */
  bitfield(key: Key): Bytes | undefined {
    return this.objects.get(key)?.have.slice();
  }

  /** The leaf list end to end. */
  leafList(key: Key): Bytes | undefined {
    const hashes = this.objects.get(key)?.hashes;
    return hashes && concat(...hashes);
  }

  /** One held leaf: a view, not a copy. */
  leaf(key: Key, index: number): Bytes | undefined {
    const o = this.objects.get(key);
    if (!o?.data || index >= o.leaves || !hasBit(o.have, index)) return undefined;
    return o.data.subarray(index * LEAF_SIZE, index * LEAF_SIZE + leafLength(o.record.size, index));
  }

  /** A copy of a complete object: players take ownership of what they get. */
  object(key: Key): Bytes | undefined {
    const o = this.objects.get(key);
    return o?.data && o.held === o.leaves ? o.data.slice() : undefined;
  }

  remove(key: Key): void {
    const o = this.objects.get(key);
    if (!o) return;
    this.objects.delete(key);
    this.used -= cost(o);
  }

  /** Records of the objects that the budget has pushed out since the last call. */
  evicted(): SignedRecord[] {
    const gone = this.gone;
    this.gone = [];
    return gone;
  }

  private grow(o: Held, change: () => void): void {
    this.used -= cost(o);
    change();
    this.used += cost(o);
    this.makeRoom(o);
  }

  /** Pushes out the oldest objects that hold data, but not keep, nor any that is waited for. */
  private makeRoom(keep: Held): void {
    while (this.used > this.budget) {
      let oldest: Held | undefined;
      for (const o of this.objects.values()) {
        const spared = o === keep || !o.data || this.awaited(keyOf(o.record.root));
        if (!spared && (!oldest || o.record.sequence < oldest.record.sequence)) oldest = o;
      }
      if (!oldest) return;
      this.remove(keyOf(oldest.record.root));
      this.gone.push(oldest.record);
    }
  }
}

function cost(o: Held): number {
  return OVERHEAD + (o.hashes?.length ?? 0) * HASH_SIZE + (o.data?.length ?? 0);
}
