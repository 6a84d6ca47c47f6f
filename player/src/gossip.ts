// Signed records from neighbours: whoever announces an object that we know no record of
// is asked for it; section 6 of peer/PROTOCOL.md.

import { ManifestError, parseRecord, type SignedRecord } from "./manifest";
import { bound } from "./bound";
import { keyOf, type Key } from "./wire";
import type { Bytes } from "./bytes";

/** Who has not answered for so long is not waited for. */
const ANSWER_MS = 400;
/** At most so many questions of ours wait for one neighbour's answers. */
const MAX_UNANSWERED = 8;
/** Questions to one neighbour: in a second, and at once. */
export const ASKS_PER_SEC = 4;
export const ASKS_AT_ONCE = 32;
/** How many records are remembered as seen; the others may be asked for again. */
const MAX_JUDGED = 512;

/** What this needs of a neighbour. */
export interface Teller {
  readonly id: number;
  /** Whether it announced an object that was not known then. */
  announced(key: Key): boolean;
  /** What it was asked for and has not answered. */
  readonly asked: Set<Key>;
  /** Counts a question; false: there are too many. */
  mayAsk(nowMs: number): boolean;
}

/** What a record's signature is worth: of an unknown key it may be good, which the next playlist shows. */
export type Judgement = "genuine" | "unknown-key" | "forged";

export interface GossipHost<N extends Teller> {
  tellers(): Iterable<N>;
  ask(n: N, key: Key): void;
  /** Judges a record and takes it in. */
  learn(record: SignedRecord): Promise<Judgement>;
  /** It sent something that may be honest now and then. */
  strike(n: N): void;
  /** It sent what no honest neighbour sends. */
  blame(n: N, sentence: string): void;
}

export class Gossip<N extends Teller> {
  /** Keys that are being asked for: since when, and who was asked. */
  private readonly asking = new Map<Key, { sinceMs: number; tried: Set<number> }>();
  private readonly judged = new Set<Key>();

  constructor(private readonly host: GossipHost<N>) {}

  /** A neighbour announced an object that we have no record of. */
  heardOf(key: Key, nowMs: number): void {
    if (this.judged.has(key) || this.asking.has(key)) return;
    this.asking.set(key, { sinceMs: nowMs, tried: new Set() });
    this.ask(key, nowMs);
  }

  /** Asks others where somebody does not answer. */
  tick(nowMs: number): void {
    for (const [key, { sinceMs }] of this.asking) if (nowMs - sinceMs >= ANSWER_MS) this.ask(key, nowMs);
  }

  /** It does not have the record either. */
  lost(n: N, key: Key, nowMs: number): void {
    if (n.asked.delete(key) && this.asking.has(key)) this.ask(key, nowMs);
  }

  /** False: nobody asked for this, and unasked it may come only as often as we may ask. */
  received(n: N, key: Key, data: Bytes, nowMs: number): boolean {
    if (!n.asked.delete(key)) {
      if (!n.mayAsk(nowMs)) return false;
      if (this.judged.has(key)) return true;
      this.asking.set(key, { sinceMs: nowMs, tried: new Set() }); // so that it is not asked for while it is judged
    }
    let record: SignedRecord;
    try {
      record = parseRecord(data.slice());
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      this.host.blame(n, "sent a record that is none");
      return true;
    }
    if (keyOf(record.root) !== key) {
      this.host.blame(n, "sent another record than it was asked for");
      return true;
    }
    void this.host.learn(record).then((judgement) => {
      if (judgement === "forged") return this.host.blame(n, "sent a record that the channel's owner did not sign");
      if (judgement === "unknown-key") this.host.strike(n);
      this.asking.delete(key);
      this.judge(key);
    });
    return true;
  }

  private ask(key: Key, nowMs: number): void {
    const question = this.asking.get(key)!;
    for (const n of this.host.tellers()) {
      if (!n.announced(key) || question.tried.has(n.id) || n.asked.size >= MAX_UNANSWERED || !n.mayAsk(nowMs)) continue;
      question.tried.add(n.id);
      question.sinceMs = nowMs;
      n.asked.add(key);
      return this.host.ask(n, key);
    }
    this.asking.delete(key); // until somebody announces it again
  }

  private judge(key: Key): void {
    this.judged.add(key);
    bound(this.judged, MAX_JUDGED);
  }
}
