// Decides, for one viewer, what to fetch next, from whom and by when, what to
// announce and what to upload. The twin of the Go package peer/sched, file by file
// and function by function: peer/sched/doc.go tells the idea, DESIGN.md beside it the
// constants, and the traces in its testdata hold both to the same actions. No I/O, no
// clock, no randomness: integers below 2^53, truncating division, Maps for look-ups only.

import { INITIAL_CDN_RATE, INITIAL_CDN_WAIT, INTRUDER_STRIKES, type Config } from "./config";
import { Kind, Reason, type Action, type Event, type Scheduler } from "./event";
import type { Neighbour, SwarmObject } from "./object";
import { cameTooLate, expirePulls, pull, refused, verified } from "./pull";
import { fetch, fetchEnded } from "./rescue";
import {
  addNeighbour,
  addObject,
  drop,
  gain,
  have,
  lost,
  removeNeighbour,
  removeObject,
  setDuty,
  want,
  writeOff,
} from "./room";
import { announce, buffered, measureUplink, removeUploads, requested, upload, Uploads } from "./upload";

export class Core implements Scheduler {
  startMs = -1; // first time seen
  nowMs = 0;

  readonly objects: (SwarmObject | undefined)[] = []; // by slot; undefined: free
  readonly wanted: SwarmObject[] = []; // missing something, by (deadline, id)
  readonly bySlot = new Map<number, number>();
  readonly neighbours: Neighbour[] = []; // by id
  readonly duties: { rendition: number; stripes: number }[] = [];

  readonly uploads = new Uploads();
  /** What is known of the CDN and what is under way. */
  readonly cdn = { rate: INITIAL_CDN_RATE, waitMs: INITIAL_CDN_WAIT, fetches: 0, failures: 0, blockedMs: 0 };

  private actions: Action[] = [];

  constructor(readonly cfg: Config) {}

  /** Tells what happened up to nowMs, which never goes back, and returns what is to be done, in order. */
  handle(nowMs: number, events: readonly Event[]): readonly Action[] {
    if (this.startMs < 0) this.startMs = nowMs;
    this.nowMs = Math.max(nowMs, this.nowMs);
    this.actions = [];
    let tick = false;
    for (const e of events) {
      tick ||= e.kind === Kind.Tick;
      this.apply(e);
    }
    if (tick) {
      expirePulls(this);
      measureUplink(this);
    }
    pull(this);
    fetch(this);
    announce(this, tick);
    upload(this);
    return this.actions;
  }

  /** The one place where an event changes the state. Events about what is not there are stale and ignored. */
  private apply(e: Event): void {
    switch (e.kind) {
      case Kind.ObjectAdd:
        return addObject(this, e);
      case Kind.NeighbourAdd:
        return addNeighbour(this, e.neighbour);
      case Kind.Duty:
        return setDuty(this, e.rendition, e.value);
      case Kind.FetchDone:
      case Kind.FetchFailed:
        return fetchEnded(this, e);
    }
    const n = this.neighbour(e.neighbour);
    switch (e.kind) {
      case Kind.NeighbourRemove:
      case Kind.Buffered:
      case Kind.Unsolicited:
        if (n) this.applyToNeighbour(e, n);
        return;
    }
    const o = this.object(e.object);
    if (!o) return;
    switch (e.kind) {
      case Kind.ObjectWant:
        return want(this, o, e.value);
      case Kind.ObjectRemove:
        return removeObject(this, o);
    }
    if (e.kind !== Kind.Have && e.kind !== Kind.Lost && (e.leaf < 0 || e.leaf >= o.leaves)) return;
    if (e.kind === Kind.Verified) verified(this, o, e.leaf, e.neighbour);
    else if (n) this.applyToHolding(e, o, n);
  }

  private applyToNeighbour(e: Event, n: Neighbour): void {
    switch (e.kind) {
      case Kind.NeighbourRemove:
        return removeNeighbour(this, n);
      case Kind.Buffered:
        return buffered(this, n, e.value);
      case Kind.Unsolicited:
        if (!cameTooLate(this, e, n) && ++n.unsolicited >= INTRUDER_STRIKES) drop(this, n, Reason.Intruder);
    }
  }

  private applyToHolding(e: Event, o: SwarmObject, n: Neighbour): void {
    switch (e.kind) {
      case Kind.Have:
        return have(o, n, e.bits ?? new Uint8Array());
      case Kind.Gain:
        return gain(o, n, e.leaf);
      case Kind.Lost:
        writeOff(this, o, n);
        return lost(o, n);
      case Kind.Request:
        return requested(this, o, n, e.leaf);
      case Kind.Cancel:
        return removeUploads(this, (q) => q.n === n && q.object === o.id && q.leaf === e.leaf);
      case Kind.Refuse:
        return refused(this, o, n, e.leaf, e.value);
      case Kind.Rejected:
        return drop(this, n, Reason.BadLeaf);
    }
  }

  /**
   * Whether a leaf from a neighbour was asked for and would still be of use; the shell
   * asks before it verifies anything.
   */
  expects(neighbour: number, object: number, leaf: number): boolean {
    const o = this.object(object);
    if (!o || leaf < 0 || leaf >= o.leaves || o.has(leaf)) return false;
    return o.leaf[leaf].from === neighbour || o.leaf[leaf].late === neighbour;
  }

  uplinkBytesPerSec(): number {
    return this.uploads.rate;
  }

  object(id: number): SwarmObject | undefined {
    const slot = this.bySlot.get(id);
    return slot === undefined ? undefined : this.objects[slot];
  }

  neighbour(id: number): Neighbour | undefined {
    return this.neighbours.find((n) => n.id === id);
  }

  do(kind: number, fields: Partial<Action>): void {
    this.actions.push({ kind, neighbour: 0, object: 0, leaf: 0, last: 0, reason: 0, ...fields });
  }
}
