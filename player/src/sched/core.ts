// Decides, for one viewer, what to fetch next, from whom and by when, what to
// announce and what to upload. The twin of the Go package peer/sched, file by file
// and function by function: peer/sched/doc.go tells the idea, DESIGN.md beside it the
// constants, and the traces in its testdata hold both to the same actions. No I/O, no
// clock, no randomness: integers below 2^53, truncating division, Maps for look-ups only.

import type { Acting } from "./acting";
import { announce, introduce } from "./announce";
import { newBudget } from "./budget";
import { INITIAL_CDN_LEAF_US, INITIAL_CDN_WAIT, INTRUDER_STRIKES, UNTRIED_MS, type Config } from "./config";
import { Kind, Reason, type Action, type Event, type Scheduler } from "./event";
import { ticked } from "./load";
import {
  addNeighbour,
  coming,
  drop,
  gain,
  have,
  lost,
  removeNeighbour,
  writeOff,
  type Neighbour,
} from "./neighbour";
import type { SwarmObject } from "./object";
import { cameTooLate, expirePulls, pull, refused, verified } from "./pull";
import { fetch, fetchEnded, type Start } from "./rescue";
import { addObject, removeObject, setDuty, want } from "./room";
import { filterUploads, requested, upload, Uploads } from "./upload";
import { careful, doubtful, silent } from "./trial";
import { buffered, measureUplink } from "./uplink";

export class Core implements Scheduler {
  startMs = -1; // first time seen
  nowMs = 0;

  readonly objects: SwarmObject[] = []; // in the order in which they came
  readonly wanted: SwarmObject[] = []; // missing something, by (deadline, id)
  readonly byId = new Map<number, SwarmObject>();
  readonly added: SwarmObject[] = []; // in this call
  slackMs = 0; // how long before they were needed objects were complete lately
  tickMs = 0; // when the last tick was
  lateUs = 0; // how late ticks are on average

  readonly neighbours: Neighbour[] = []; // by id
  readonly seats: boolean[] = []; // taken
  owed = 0; // bytes that they owe us in all
  readonly duties: { rendition: number; stripes: number }[] = [];
  readonly acting: Acting[] = [];

  readonly uploads = new Uploads();
  /** What is known of the CDN and what is under way. */
  readonly cdn = {
    leafUs: INITIAL_CDN_LEAF_US, // estimated time for one leaf
    measured: false, // at least once
    waitMs: INITIAL_CDN_WAIT, // to the first byte, estimated
    received: 0, // bytes in all
    started: [] as Start[], // the requests under way
    failures: 0, // in a row
    blockedMs: 0, // nothing is fetched before then
  };
  budget = newBudget(); // of the running pass over wanted

  private actions: Action[] = [];
  private stirred = false; // something happened after which somebody may be asked

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
      ticked(this);
      expirePulls(this);
      measureUplink(this);
    }
    introduce(this);
    if (this.stirred || tick) {
      pull(this);
      fetch(this);
      this.stirred = false;
    }
    announce(this);
    upload(this);
    return this.actions;
  }

  /** The one place where an event changes the state. Events about what is not there are stale and ignored. */
  private apply(e: Event): void {
    switch (e.kind) {
      case Kind.Tick:
        return;
      case Kind.ObjectAdd:
        addObject(this, e);
        break;
      case Kind.NeighbourAdd:
        addNeighbour(this, e.neighbour);
        break;
      case Kind.Duty:
        setDuty(this, e.rendition, e.value);
        break;
      case Kind.Cap:
        this.cfg.uploadBytesPerSec = e.value;
        break;
      case Kind.FetchDone:
      case Kind.FetchFailed:
        fetchEnded(this, e);
        break;
      case Kind.NeighbourRemove:
      case Kind.Buffered:
      case Kind.Unsolicited: {
        const n = this.neighbour(e.neighbour);
        if (n) this.applyToNeighbour(e, n);
        return;
      }
      case Kind.Request:
      case Kind.Cancel: {
        const o = this.object(e.object);
        if (o) this.applyToHolding(e, o);
        return;
      }
      default: {
        const o = this.object(e.object);
        if (o) this.applyToObject(e, o);
      }
    }
    this.stirred = true;
  }

  private applyToNeighbour(e: Event, n: Neighbour): void {
    switch (e.kind) {
      case Kind.NeighbourRemove:
        removeNeighbour(this, n);
        this.stirred = true;
        return;
      case Kind.Buffered:
        return buffered(this, n, e.value);
      case Kind.Unsolicited:
        if (cameTooLate(this, e, n) || ++n.unsolicited < INTRUDER_STRIKES) return;
        drop(this, n, Reason.Intruder);
        this.stirred = true;
    }
  }

  private applyToObject(e: Event, o: SwarmObject): void {
    switch (e.kind) {
      case Kind.ObjectWant:
        return want(this, o, e.value);
      case Kind.ObjectRemove:
        return removeObject(this, o);
      case Kind.Verified:
        if (e.leaf >= 0 && e.leaf < o.leaves) verified(this, o, e.leaf, e.neighbour);
        return;
      default:
        this.applyToHolding(e, o);
    }
  }

  /** Books what a neighbour says of an object. */
  private applyToHolding(e: Event, o: SwarmObject): void {
    const n = this.neighbour(e.neighbour);
    if (!n) return;
    switch (e.kind) {
      case Kind.Have:
        return have(o, n, e.bits ?? new Uint8Array());
      case Kind.Lost:
        writeOff(this, o, n);
        return lost(o, n);
      case Kind.Rejected:
        if (e.leaf >= 0 && e.leaf < o.leaves) drop(this, n, Reason.BadLeaf);
        return;
    }
    if (e.piece < 0 || e.piece >= o.pieces) return;
    switch (e.kind) {
      case Kind.Gain:
        return gain(o, n, e.piece);
      case Kind.Coming:
        return coming(this, o, n, e.piece);
      case Kind.Request:
        return requested(this, o, n, e.piece, e.mask);
      case Kind.Cancel:
        return filterUploads(this, (q) => q.n !== n || q.o !== o || q.piece !== e.piece);
      case Kind.Refuse:
        return refused(this, o, n, e.piece, e.value);
    }
  }

  /**
   * Whether a leaf from a neighbour was asked for and would still be of use; the shell
   * asks before it verifies anything.
   */
  expects(neighbour: number, object: number, leaf: number): boolean {
    const o = this.object(object);
    if (!o || leaf < 0 || leaf >= o.leaves || o.hasLeaf(leaf)) return false;
    const p = o.piece[o.pieceOf(leaf)];
    const bit = o.bitOf(leaf);
    return (p.from === neighbour && (p.owed & bit) !== 0) || (p.late === neighbour && (p.lateOwed & bit) !== 0);
  }

  passesOn(): boolean {
    return !this.cfg.noUpload && !silent(this);
  }

  proven(): boolean {
    return !careful(this);
  }

  useful(): boolean {
    return this.proven() || (!doubtful(this) && this.nowMs - this.startMs >= UNTRIED_MS);
  }

  uplinkBytesPerSec(): number {
    return this.uploads.rate;
  }

  object(id: number): SwarmObject | undefined {
    return this.byId.get(id);
  }

  neighbour(id: number): Neighbour | undefined {
    return this.neighbours.find((n) => n.id === id);
  }

  do(kind: number, fields: Partial<Action>): void {
    const { neighbour = 0, object = 0, piece = 0, mask = 0, leaf = 0, last = 0, reason = 0 } = fields;
    this.actions.push({ kind, neighbour, object, piece, mask, leaf, last, reason });
  }
}
