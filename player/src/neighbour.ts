// One neighbour: the connection to it, and what both sides know of each other.

import { Allowance } from "./allowance";
import { MAX_RTT, type PeerId } from "./announce";
import { Announced } from "./announced";
import type { Connection } from "./channel";
import { ASKS_AT_ONCE, ASKS_PER_SEC, type Teller } from "./gossip";
import { Outbox } from "./outbox";
import { NO_OBJECT, Sounding } from "./sounding";
import type { Key } from "./wire";

/** How many messages that are no leaves it may send: in a second, and at once (a HAVE for each object that it holds). */
const MESSAGES_PER_SEC = 200;
const MESSAGES_AT_ONCE = 8192;

export class Neighbour implements Teller {
  connection!: Connection;
  /** Its HELLO was good: the scheduler knows it. */
  open = false;
  helloTimer: ReturnType<typeof setTimeout> | undefined;
  /** Drawn by the other side when it started: known from its HELLO on. */
  instance: Key = "";
  /** It wants records unasked. */
  tellIt = false;
  /** Objects that it was told of. */
  readonly told = new Map<number, Key>();
  /** Leaf lists that it asked us for: whether it has got them. Each goes out once, so that asking again costs us nothing. */
  readonly lists = new Map<Key, boolean>();
  /** Objects whose record it got from us, likewise. */
  readonly recordSent = new Set<Key>();
  readonly asked = new Set<Key>();
  readonly unknown = new Announced();
  readonly outbox = new Outbox((bundle) => {
    this.sent = true;
    return this.connection.send(bundle);
  });
  /** As last told to the scheduler. */
  buffered = 0;
  readonly sounding = new Sounding(() => this.outbox.send({ type: "ASK", key: NO_OBJECT }));
  /** Something was sent since its buffer was looked at. */
  sent = false;
  /** Messages from it that are no leaves. */
  readonly messages = new Allowance(MESSAGES_PER_SEC, MESSAGES_AT_ONCE);
  private readonly asks = new Allowance(ASKS_PER_SEC, ASKS_AT_ONCE);
  /** As last told to the tracker. */
  private toldRoundTripMs = 0;

  constructor(
    /** The scheduler's name for it. */
    readonly id: number,
    readonly peer: PeerId,
    /** The visit to the tracker at which it was introduced. */
    readonly visit: number,
  ) {}

  announced(key: Key): boolean {
    return this.unknown.has(key);
  }

  mayAsk(nowMs: number): boolean {
    return this.asks.take(nowMs);
  }

  /** How long a round trip takes, if that is new to the tracker: just measured, or twice or half of what it was told. Otherwise 0. */
  newRoundTripMs(): number {
    const ms = Math.min(this.connection.roundTripMs, MAX_RTT);
    const told = this.toldRoundTripMs;
    if (ms < 2 * told && 2 * ms > told) return 0;
    this.toldRoundTripMs = ms;
    return ms;
  }
}
