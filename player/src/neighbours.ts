// The neighbours: connections to other viewers and seeders, and what they say, which
// becomes events for the scheduler; whatever peer/PROTOCOL.md forbids ends the
// connection. What we say to them is in speech.ts.

import { MAX_DROPPED, MAX_RTTS, type DropReason, type PeerId, type Rtt, type Signal } from "./announce";
import { bound } from "./bound";
import { fromHex, toHex, Writer, type Bytes } from "./bytes";
import type { Connector } from "./channel";
import type { Turn } from "./feed";
import { Gossip, type Judgement } from "./gossip";
import { parseLeaves, type SignedRecord } from "./manifest";
import { Neighbour } from "./neighbour";
import type { Carried } from "./objects";
import { Do, event, Kind, Reason, type Action, type Event } from "./sched";
import { NO_OBJECT } from "./sounding";
import { batches, Speech, type SpeechHost } from "./speech";
import { blames, type Store } from "./store";
import {
  byeReason,
  FLAG_NEED_LIST,
  FLAG_TELL_ME,
  HELLO_TIMEOUT_MS,
  keyOf,
  NOT_HELD,
  WIRE_VERSION,
  WireError,
  within,
  unbundle,
  type Key,
  type Message,
  type Wanted,
} from "./wire";

/** What may still be on its way about an object that we gave up: so long, and for so many objects. */
const FORGIVE_MS = 10_000;
const MAX_FORGIVEN = 256;
/** Nobody who reads lets so much wait; it is half of what a connection takes. */
const UNREAD_BYTES = 4 * 1024 * 1024;

/** What neighbours need of the session. */
export interface NeighboursHost extends SpeechHost {
  readonly channel: Bytes;
  objectByKey(key: Key): Carried | undefined;
  expects(neighbour: number, object: number, leaf: number): boolean;
  /** Whether neighbours get anything from us. */
  passesOn(): boolean;
  event(e: Event): void;
  /** A verified leaf came from a neighbour. */
  stored(o: Carried, leaf: number, neighbour: number, bytes: number): void;
  rejected(): void;
  /** Judges a record that a neighbour told, and takes it in. */
  learn(record: SignedRecord): Promise<Judgement>;
  /** Whether its record is known. */
  lists(key: Key): boolean;
  /** A neighbour announced this. */
  heard(o: Carried): void;
  /** Passes a signal on by the tracker, which knows whom it introduced at this visit only. */
  signal(to: PeerId, signal: Signal, visit: number): void;
}

export class Neighbours {
  private readonly byId = new Map<number, Neighbour>();
  private readonly byPeer = new Map<PeerId, Neighbour>();
  private readonly instance: Key = toHex(crypto.getRandomValues(new Uint8Array(8)));
  private readonly gossip: Gossip<Neighbour>;
  private readonly speech: Speech;
  private nextId = 0;
  /** Objects that were given up, and when, oldest first. */
  private readonly gone = new Map<Key, number>();
  private drops: { id: PeerId; reason: DropReason }[] = [];

  constructor(
    private readonly host: NeighboursHost,
    private readonly store: Store,
    private readonly connect: Connector,
    private readonly limit: number,
    /** Whether we give anything to anybody. */
    private readonly upload: boolean,
  ) {
    this.speech = new Speech(host, store);
    this.gossip = new Gossip<Neighbour>({
      tellers: () => this.byId.values(),
      ask: (n, key) => n.outbox.send({ type: "ASK", key }),
      learn: (record) => host.learn(record),
      blame: (n, sentence) => this.blame(n, sentence),
      strike: (n) => this.unsolicited(n, -1),
    });
  }

  /** How many can be asked for leaves. */
  get open(): number {
    let count = 0;
    for (const n of this.byId.values()) if (n.open) count++;
    return count;
  }

  /** Lots decide who looks for a segment first: how many drew a lower one than we, of how many. */
  turn(sequence: number): Turn {
    const mine = lot(this.instance, sequence);
    const turn = { rank: 0, among: 1 };
    for (const n of this.byId.values()) {
      if (!n.open) continue;
      turn.among++;
      if (lot(n.instance, sequence) < mine) turn.rank++;
    }
    return turn;
  }

  get hasDrops(): boolean {
    return this.drops.length > 0;
  }

  /** Who was given up since the last call. */
  takeDrops(): { id: PeerId; reason: DropReason }[] {
    return this.drops.splice(0);
  }

  /** How long round trips take, as far as that is new to the tracker. */
  roundTrips(): Rtt[] | undefined {
    const rtts: Rtt[] = [];
    for (const n of this.byId.values()) {
      const ms = n.open && rtts.length < MAX_RTTS && n.newRoundTripMs();
      if (ms) rtts.push({ id: n.peer, ms });
    }
    return rtts.length > 0 ? rtts : undefined;
  }

  /** Starts a connection to a viewer that the tracker introduced. */
  meet(peer: PeerId, makesOffer: boolean, visit: number): void {
    const known = this.byPeer.get(peer);
    if (known && (known.open || known.visit === visit)) return;
    if (known) this.remove(known); // its signals belonged to an earlier visit
    if (this.byId.size >= this.limit) return;
    const n = new Neighbour(this.nextId++, peer, visit);
    try {
      n.connection = this.connect(makesOffer, {
        signal: (signal) => this.host.signal(peer, signal, visit),
        open: () => this.opened(n),
        message: (bytes) => this.received(n, bytes),
        bufferedLow: () => this.observeBuffer(n),
        closed: () => this.closed(n),
      });
    } catch {
      this.noteDrop(peer, "unreachable"); // WebRTC is there but forbidden
      return;
    }
    this.byId.set(n.id, n);
    this.byPeer.set(peer, n);
  }

  signalled(peer: PeerId, signal: Signal, visit: number): void {
    const n = this.byPeer.get(peer);
    if (n?.visit === visit) n.connection.signal(signal);
  }

  /** Ends a connection because the tracker wants both ends to have room for others; it needs no telling. */
  part(peer: PeerId): void {
    const n = this.byPeer.get(peer);
    if (!n) return;
    n.outbox.conclude({ type: "BYE", reason: "the tracker has others for us" });
    this.remove(n);
  }

  /** Tells the scheduler how much waits in the send buffers, and asks again where a neighbour does not answer. */
  tick(nowMs: number): void {
    this.gossip.tick(nowMs);
    for (const n of this.byId.values()) {
      n.outbox.tick(nowMs);
      if (n.open) this.observeBuffer(n);
    }
  }

  /** A record became known: who announced its object already, and who has yet to hear of it? */
  introduce(o: Carried, found: boolean): void {
    for (const n of this.byId.values()) {
      const heard = n.unknown.take(o.key, o.leaves);
      if (!heard) continue;
      n.told.set(o.id, o.key); // it knows
      const about = { neighbour: n.id, object: o.id };
      this.host.event(event(Kind.Have, { ...about, bits: heard.bits }));
      for (const piece of heard.coming) this.host.event(event(Kind.Coming, { ...about, piece }));
      this.host.heard(o);
    }
    // Who found it by polling is likely the first to know, and tells the record itself, because to be asked for it takes a
    // round trip. Of what others told the scheduler tells, as of what we hold.
    if (!found || !this.upload || !this.host.passesOn() || this.store.heldBytes(o.key) > 0) return;
    for (const n of this.byId.values()) {
      if (!n.open || n.told.has(o.id)) continue;
      if (n.tellIt) this.speech.record(n, o.key, o);
      this.speech.have(n, o);
    }
  }

  forgetObject(o: Carried): void {
    for (const n of this.byId.values()) {
      n.lists.delete(o.key);
      n.recordSent.delete(o.key);
    }
    this.gone.delete(o.key);
    this.gone.set(o.key, performance.now());
    bound(this.gone, MAX_FORGIVEN);
  }

  closeAll(reason: string): void {
    for (const n of this.byId.values()) {
      n.outbox.conclude({ type: "BYE", reason });
      clearTimeout(n.helloTimer);
      n.connection.close();
    }
    this.byId.clear();
    this.byPeer.clear();
  }

  /** Does the scheduler's actions that concern neighbours; consecutive ones of one kind become one message. */
  run(actions: readonly Action[]): void {
    for (const batch of batches(actions)) {
      const [a] = batch;
      const n = this.byId.get(a.neighbour);
      if (!n) continue;
      if (a.kind === Do.Drop) this.drop(n, ...(DROPS[a.reason] ?? DROPS[Reason.TooManyAsked]));
      else this.speech.act(n, batch);
    }
  }

  private opened(n: Neighbour): void {
    n.outbox.send({ type: "HELLO", version: WIRE_VERSION, channel: keyOf(this.host.channel), flags: FLAG_TELL_ME, instance: this.instance });
    n.helloTimer = setTimeout(() => {
      if (!n.open) this.drop(n, "protocol", "said no HELLO");
    }, HELLO_TIMEOUT_MS);
  }

  private received(n: Neighbour, bytes: Bytes): void {
    try {
      for (const m of unbundle(bytes)) {
        if (this.byId.get(n.id) !== n) return; // dropped, for an earlier message or while this was on its way
        this.hear(n, m);
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      if (this.byId.get(n.id) === n) this.drop(n, "protocol", error.message);
    }
  }

  private hear(n: Neighbour, m: Message): void {
    if ((m.type === "HELLO") === n.open) return this.drop(n, "protocol", "said HELLO not first, or twice");
    if (m.type !== "LEAF" && !n.messages.take(performance.now())) return this.drop(n, "intruder", "sent far too many messages");
    if (m.type === "HELLO") this.greeted(n, m.channel, m.instance, m.flags);
    else if (m.type === "BYE") this.closed(n);
    else this.converse(n, m);
  }

  private greeted(n: Neighbour, channel: Key, instance: Key, flags: number): void {
    if (channel !== keyOf(this.host.channel)) return this.drop(n, "protocol", "is on another channel");
    const twin = [...this.byId.values()].some((other) => other.open && other.instance === instance);
    if (twin || instance === this.instance) return this.drop(n, "full", "is connected already");
    n.instance = instance;
    n.tellIt = (flags & FLAG_TELL_ME) !== 0;
    clearTimeout(n.helloTimer);
    n.open = true;
    this.host.event(event(Kind.NeighbourAdd, { neighbour: n.id }));
  }

  private converse(n: Neighbour, m: Exclude<Message, { type: "HELLO" | "BYE" }>): void {
    const o = this.host.objectByKey(m.key);
    const about = { neighbour: n.id, object: o?.id ?? 0 };
    const each = (kind: number, pieces: number[], value = 0) => {
      for (const piece of pieces) this.host.event(event(kind, { ...about, piece, value }));
    };
    switch (m.type) {
      case "HAVE":
        if (!o) {
          n.unknown.have(m.key, m.leaves, m.bitfield);
          if (!this.host.lists(m.key)) this.gossip.heardOf(m.key, performance.now());
        } else if (m.leaves !== o.leaves) {
          this.drop(n, "liar", "announced an object with a wrong number of leaves");
        } else {
          n.told.set(o.id, m.key); // it knows
          this.host.event(event(Kind.Have, { ...about, bits: m.bitfield }));
          this.host.heard(o);
        }
        return;
      case "GAIN":
        if (o) each(Kind.Gain, m.pieces);
        else n.unknown.gain(m.key, m.pieces);
        return;
      case "COMING":
        if (o) each(Kind.Coming, m.pieces);
        else n.unknown.coming(m.key, m.pieces);
        return;
      case "LOST":
        if (m.key === NO_OBJECT && n.sounding.heard()) return this.observeBuffer(n);
        n.unknown.forget(m.key);
        this.gossip.lost(n, m.key, performance.now());
        if (o) this.host.event(event(Kind.Lost, about));
        return;
      case "LEAVES":
        if (o) this.receivedList(n, o, m.hashes);
        else this.unwanted(n, m.key);
        return;
      case "REQUEST":
        if (o) this.receivedRequest(n, o, m.flags, m.wanted);
        else n.outbox.send({ type: "REFUSE", key: m.key, reason: NOT_HELD, pieces: m.wanted.map(([piece]) => piece) });
        return;
      case "LEAF":
        if (o) void this.receivedLeaf(n, o, m.leaf, m.data);
        else this.unwanted(n, m.key);
        return;
      case "CANCEL":
        if (o) each(Kind.Cancel, m.pieces);
        return;
      case "REFUSE":
        if (o) each(Kind.Refuse, m.pieces, m.reason);
        return;
      case "ASK":
        return this.speech.record(n, m.key, o);
      case "RECORD":
        if (!this.gossip.received(n, m.key, m.data, performance.now())) this.unsolicited(n, -1);
    }
  }

  /** Bytes of an object that nobody can have asked for, unless it was given up just now. */
  private unwanted(n: Neighbour, key: Key): void {
    const goneMs = this.gone.get(key) ?? -Infinity;
    if (performance.now() - goneMs < FORGIVE_MS) return;
    this.unsolicited(n, -1);
  }

  private unsolicited(n: Neighbour, object: number, leaf = 0): void {
    this.host.event(event(Kind.Unsolicited, { neighbour: n.id, object, leaf }));
  }

  /** A leaf list that does not match the signed root costs its sender the connection, like a bad leaf. */
  private receivedList(n: Neighbour, o: Carried, hashes: Bytes): void {
    if (this.store.listed(o.key)) return;
    if (blames(this.store.putLeaves(o.key, parseLeaves(hashes)))) this.blame(n);
  }

  private receivedRequest(n: Neighbour, o: Carried, flags: number, wanted: Wanted[]): void {
    if (!wanted.every((w) => within(w, o.leaves))) {
      return this.drop(n, "protocol", "asked for leaves that the object does not have");
    }
    if (flags & FLAG_NEED_LIST) this.speech.list(n, o.key);
    for (const [piece, mask] of wanted) {
      this.host.event(event(Kind.Request, { neighbour: n.id, object: o.id, piece, mask }));
    }
  }

  private async receivedLeaf(n: Neighbour, o: Carried, leaf: number, data: Bytes): Promise<void> {
    if (!this.host.expects(n.id, o.id, leaf)) {
      return this.unsolicited(n, o.id, leaf);
    }
    const outcome = await this.store.putLeaf(o.key, leaf, data);
    if (outcome === "stored") this.host.stored(o, leaf, n.id, data.length);
    else if (blames(outcome)) this.blame(n);
    else if (outcome === "no-list") this.unsolicited(n, o.id, leaf); // the list comes first
  }

  /** Drops who sent bytes that do not match the record, before its next message is looked at. */
  private blame(n: Neighbour, sentence = "sent bytes that the channel's owner did not sign"): void {
    if (this.byId.get(n.id) !== n) return; // another leaf of the same burst was found bad before
    this.host.rejected();
    this.drop(n, "bad-leaf", sentence);
  }

  /** Ends a connection for a reason that the tracker should know. */
  private drop(n: Neighbour, reason: DropReason, sentence: string): void {
    n.outbox.conclude({ type: "BYE", reason: byeReason(sentence) });
    this.forget(n, reason);
  }

  /** The connection ended by itself or with a BYE. */
  private closed(n: Neighbour): void {
    this.forget(n, n.open ? "lost" : "unreachable");
  }

  private forget(n: Neighbour, reason: DropReason): void {
    if (this.byId.get(n.id) !== n) return;
    this.remove(n);
    this.noteDrop(n.peer, reason);
  }

  private remove(n: Neighbour): void {
    clearTimeout(n.helloTimer);
    this.byId.delete(n.id);
    this.byPeer.delete(n.peer);
    n.connection.close();
    this.host.event(event(Kind.NeighbourRemove, { neighbour: n.id }));
  }

  private noteDrop(id: PeerId, reason: DropReason): void {
    if (this.drops.length < MAX_DROPPED) this.drops.push({ id, reason });
  }

  private observeBuffer(n: Neighbour): void {
    if (n.buffered === 0 && !n.sent) return;
    n.sent = false;
    n.buffered = Math.max(n.connection.bufferedAmount, n.sounding.underWay);
    if (n.buffered > UNREAD_BYTES) return this.drop(n, "stalled", "does not read what it is sent");
    this.host.event(event(Kind.Buffered, { neighbour: n.id, value: n.buffered }));
  }
}

/** The FNV-1a hash of a segment's number and a client's instance: orders clients evenly, and anew for each segment. */
export function lot(instance: Key, sequence: number): number {
  const w = new Writer(16).u64(sequence).raw(fromHex(instance)!);
  let hash = 0x811c9dc5;
  for (const b of w.bytes()) hash = Math.imul(hash ^ b, 0x01000193);
  return hash >>> 0;
}

const DROPS: { [reason: number]: [DropReason, string] } = {
  [Reason.BadLeaf]: ["bad-leaf", "sent bytes that the channel's owner did not sign"],
  [Reason.Stalled]: ["stalled", "promised leaves and did not send them"],
  [Reason.Liar]: ["liar", "announced pieces that it did not have"],
  [Reason.Intruder]: ["intruder", "sent leaves that nobody asked for"],
  [Reason.TooManyAsked]: ["greedy", "kept asking beyond every bound"],
};
