// The shell around the swarm's cores, one per channel; sibling of the Go package
// peer/session. It turns what happens (messages, bytes, playlists, duties, time)
// into events for the scheduler and runs the actions that come back.
//
// The order is always the same: verify, store, tell the scheduler, act. No byte
// is stored before it matched the channel owner's signature, and only stored
// bytes are passed on or played. Who watches decides what is needed by when: see
// Audience.
//
//	catalogue  what there is: renditions, windows, segments   (feed: playlists)
//	store      what we hold of it, verified
//	cdn        what is fetched over HTTP                       (inits: init sections)
//	swarm      tracker and neighbours

import type { Bytes } from "./bytes";
import { Catalogue } from "./catalogue";
import { Cdn } from "./cdn";
import type { Requests, Text } from "./fetch";
import type { Place } from "./port";
import type { MediaHttp } from "./media-http";
import { Inits } from "./inits";
import { KIND_PART } from "./manifest";
import { DeliveryError, type Carried, type Delivery, type Entry, type Listing, type Offered } from "./objects";
import { CDN, Do, event, Kind, TICK_MS, type Action, type Event, type Scheduler } from "./sched";
import { Store } from "./store";
import { Swarm, type SwarmConfig } from "./swarm";
import { Clock, NetworkMeter } from "./timing";
import type { Key } from "./wire";

/** How often deadlines are asked for again, and how far one must move to be worth telling. */
const PLAN_EVERY_MS = 250;
const DEADLINE_SLACK_MS = 100;
/**
 * Who sees a picture looks for neighbours, or who has none after so long. The first picture needs the line before that, on an
 * uplink of 100 kb/s it takes three seconds to connect to eight neighbours, and the processor.
 */
const MEET_AFTER_MS = 2000;
const STORE_BYTES = 64 * 1024 * 1024;
/** So many failed requests to the CDN in a row, and the player is told; answers that are missing or wrong count double. */
const MAX_FAILURES = 4;

/** Who the session works for. */
export interface Audience {
  /** When (epoch ms) a segment is needed; 0: it is not, as far as the audience knows. */
  deadlineMs(nowMs: number, entry: Entry, rendition: string): number;
  /** Renditions that it plays now; none while it is paused. */
  renditions(): string[];
  /** What it went through so far. */
  experience(): { started: boolean; stalls: number; stallMs: number; latencyMs: number };
}

export interface SessionConfig {
  channel: Bytes;
  renditions: Offered[];
  http: MediaHttp;
  scheduler: Scheduler;
  audience: Audience;
  /** Undefined: no peer-to-peer; then nothing is fetched before the player asks. */
  swarm?: SwarmConfig;
  /** A rendition's window has changed. */
  listed?: (rendition: string) => void;
  /** How much is kept in memory; default 64 MiB. */
  storeBytes?: number;
  clock?: Clock;
}

export interface SessionStats {
  httpBytes: number;
  p2pBytes: number;
  uploadedBytes: number;
  playlistBytes: number;
  requests: Requests;
  verifiedLeaves: number;
  rejectedLeaves: number;
  peers: number;
}

/** How a delivery is going, for honest timings. */
export interface Progress {
  loaded: number;
  total: number;
  /** How long the network needed for what is loaded, see timing.ts. */
  elapsedMs: number;
  firstByteMs: number;
}

export interface Ticket {
  progress(): Progress;
  cancel(): void;
}

export class Session {
  readonly channel: Bytes;
  readonly meter = new NetworkMeter();
  private readonly clock: Clock;
  private readonly store: Store;
  private readonly catalogue: Catalogue;
  private readonly cdn: Cdn;
  private readonly inits: Inits;
  private readonly swarm: Swarm | undefined;
  private readonly counted = { p2pBytes: 0, uploadedBytes: 0, verifiedLeaves: 0, rejectedLeaves: 0 };
  private events: Event[] = [];
  private stepping = false;
  private stopped = false;
  private startedMs = 0;
  private lastTickMs = 0;
  private plannedMs = 0;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly config: SessionConfig) {
    const { http, channel } = config;
    this.channel = channel;
    this.clock = config.clock ?? new Clock();
    const awaited = (key: Key) => (this.catalogue.objectByKey(key)?.waiting.size ?? 0) > 0;
    this.store = new Store(config.storeBytes ?? STORE_BYTES, awaited);
    this.cdn = new Cdn(http, this.store, this.clock, {
      inCompany: () => (this.swarm?.neighbours.open ?? 0) > 0,
      stored: (o, leaf) => {
        this.swarm?.fetched(o, leaf);
        this.stored(o, leaf, CDN);
      },
      rejected: () => void this.counted.rejectedLeaves++,
      ended: (o, first, last, bytes, elapsedMs, error) => {
        const [kind, value] = error ? [Kind.FetchFailed, error.status] : [Kind.FetchDone, bytes];
        this.event(event(kind, { object: o.id, leaf: first, last, value, elapsedMs }));
        this.fetchEnded(o, error);
      },
    });
    this.inits = new Inits(http, this.clock, this.meter);
    this.catalogue = new Catalogue(channel, config.renditions, http, this.store, this.inits, this.meter, this.clock, {
      event: (e) => this.event(e),
      deadline: (o, entry) => this.deadline(o, entry),
      added: (o, found) => this.swarm?.neighbours.introduce(o, found),
      assembled: (o) => this.assembled(o),
      removed: (o) => this.removed(o),
      changed: (rendition) => {
        config.listed?.(rendition);
        this.step();
      },
      turn: (rendition, sequence) => this.swarm?.turn(rendition, sequence) ?? { rank: 0, among: 1 },
      hurries: () => this.config.swarm !== undefined && !this.config.audience.experience().started,
    });
    if (config.swarm) this.swarm = this.joinSwarm(config.swarm);
  }

  start(): void {
    this.startedMs = this.clock.now();
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    clearInterval(this.timer);
    this.swarm?.stop();
    this.cdn.stop();
  }

  stats(): SessionStats {
    const { mediaBytes, playlistBytes, requests } = this.config.http.counters;
    const peers = this.swarm?.neighbours.open ?? 0;
    return { httpBytes: mediaBytes, playlistBytes, requests: { ...requests }, peers, ...this.counted };
  }

  /** Why the latest playlist was refused, "" if it was not. */
  get refused(): string {
    return this.catalogue.refused;
  }

  /**
   * The newest verified media playlist of a rendition, or the next one if the player has that already; the first one that has a
   * place, if one is given. What the player's side fetched itself spares a poll.
   */
  playlist(rendition: string, fetched?: Text, place?: Place): Promise<Text> {
    const r = this.catalogue.rendition(rendition);
    return r ? r.feed.read(fetched, place) : Promise.reject(new DeliveryError(404, `The channel offers no rendition "${rendition}".`));
  }

  /** Whether a rendition's playlist could be had and verified lately. */
  healthy(rendition: string): boolean {
    return this.catalogue.rendition(rendition)?.feed.healthy ?? false;
  }

  /** Whether a rendition's playlist is that of a recording. */
  ended(rendition: string): boolean {
    return this.catalogue.rendition(rendition)?.feed.ended ?? false;
  }

  /** A rendition's window, oldest first. */
  window(rendition: string): readonly Entry[] {
    return this.catalogue.rendition(rendition)?.window ?? [];
  }

  /** Delivers the verified bytes of a segment or an init section, and nothing else. */
  deliver(url: string, delivery: Delivery): Ticket {
    const init = this.inits.deliver(url, delivery);
    if (init) return init;
    this.catalogue.forgetEvicted(); // so that it is asked for again, not waited for in vain
    const o = this.catalogue.objectByUrl(url);
    if (!o) {
      queueMicrotask(() => delivery.failed(new DeliveryError(404, "No verified playlist lists this segment.")));
      return { progress: () => ({ loaded: 0, total: 0, elapsedMs: 0, firstByteMs: 0 }), cancel: () => undefined };
    }
    o.waiting.add(delivery);
    if (this.store.complete(o.key)) queueMicrotask(() => this.hand(o));
    else this.replan(o);
    return {
      progress: () => ({
        // Only a complete segment may look complete: what a bad sender sent was counted, but has to come again.
        loaded: this.store.complete(o.key) ? o.record.size : Math.min(o.transfer.loaded, o.record.size - 1),
        total: o.record.size,
        elapsedMs: o.transfer.elapsedMs(this.clock.now()),
        firstByteMs: this.meter.firstByteMs,
      }),
      cancel: () => {
        if (o.waiting.delete(delivery)) this.replan(o);
      },
    };
  }

  // ── what is needed by when ───────────────────────────────────────────────

  private deadline(o: Carried, entry: Listing): number {
    const nowMs = this.clock.now();
    const expected = entry.split ? 0 : this.config.audience.deadlineMs(nowMs, entry, o.rendition.name);
    // A player begins with parts that come before its first picture, which are not in any future of a picture that stands.
    const first = o.record.kind === KIND_PART && !this.config.audience.experience().started;
    if (o.waiting.size > 0) return Math.max(first ? 0 : expected, nowMs);
    return this.config.swarm && !o.evicted ? expected : 0;
  }

  private plan(): void {
    const nowMs = this.clock.now();
    for (const r of this.catalogue.renditions) {
      const sharing = this.config.swarm !== undefined;
      for (const e of r.window) {
        if (e.object) {
          if (!this.store.complete(e.object.key)) this.replan(e.object, e);
        } else if (sharing && this.config.audience.deadlineMs(nowMs, e, r.name) > 0) {
          this.catalogue.enter(r, e); // of a recording: the playhead comes near
        }
      }
    }
  }

  private replan(o: Carried, entry = this.catalogue.entryOf(o)): void {
    if (this.catalogue.object(o.id) !== o) return;
    const deadline = this.deadline(o, entry);
    const moved = Math.abs(deadline - o.deadlineMs) > DEADLINE_SLACK_MS;
    if (!moved && (deadline === 0) === (o.deadlineMs === 0)) return;
    o.deadlineMs = deadline;
    this.event(event(Kind.ObjectWant, { object: o.id, value: deadline }));
  }

  // ── bytes ────────────────────────────────────────────────────────────────

  /** Books a leaf that the store took. */
  private stored(fetched: Carried, leaf: number, from: number): void {
    this.counted.verifiedLeaves++;
    const o = this.catalogue.objectByKey(fetched.key) ?? fetched; // evicted meanwhile, it is another one now
    this.event(event(Kind.Verified, { object: o.id, leaf, neighbour: from }));
    if (!this.store.complete(o.key)) return;
    this.hand(o);
    this.catalogue.assemble(o.rendition, o.record.sequence);
  }

  private assembled(o: Carried): void {
    for (let leaf = 0; leaf < o.leaves; leaf++) this.event(event(Kind.Verified, { object: o.id, leaf, neighbour: CDN }));
    this.hand(o);
  }

  /** Hands a complete object to those who wait for it. */
  private hand(o: Carried): void {
    for (const delivery of o.waiting) {
      const bytes = this.store.object(o.key);
      if (bytes) delivery.done(bytes.buffer);
    }
    o.waiting.clear();
  }

  /** The scheduler tries again by itself; the player is told when that seems in vain. */
  private fetchEnded(o: Carried, error: DeliveryError | undefined): void {
    o.failures = error ? o.failures + 1 : 0;
    o.trouble = error;
    const definite = error?.status === 404 || error?.status === 410 || error?.unsigned;
    if (!error || o.failures < (definite ? MAX_FAILURES / 2 : MAX_FAILURES)) return;
    o.failures = 0;
    this.failDeliveries(o, error);
    this.replan(o);
  }

  private removed(o: Carried): void {
    this.swarm?.neighbours.forgetObject(o);
    this.failDeliveries(o, new DeliveryError(410, "The segment is too old: it was forgotten."));
  }

  private failDeliveries(o: Carried, error: DeliveryError): void {
    for (const delivery of o.waiting) delivery.failed(error);
    o.waiting.clear();
  }

  // ── the loop ─────────────────────────────────────────────────────────────

  /** Notes what happened; the scheduler hears of it before anything else does. */
  private event(e: Event): void {
    this.events.push(e);
    if (this.stepping || this.stopped) return;
    this.stepping = true;
    queueMicrotask(() => {
      this.stepping = false;
      this.step();
    });
  }

  /** Lets the scheduler see what happened and does what it says. */
  private step(): void {
    while (this.events.length > 0 && !this.stopped) {
      const now = this.clock.now();
      // Timers of hidden pages are slowed down; whatever else happens keeps time then.
      if (now - this.lastTickMs >= 2 * TICK_MS) this.time(now);
      const events = this.events;
      this.events = [];
      this.run(this.config.scheduler.handle(now, events));
    }
  }

  private run(actions: readonly Action[]): void {
    for (const a of actions) {
      const o = a.kind === Do.Fetch ? this.catalogue.object(a.object) : undefined;
      if (o) void this.cdn.fetch(o, a.leaf, a.last);
    }
    this.swarm?.run(actions.filter((a) => a.kind !== Do.Fetch));
  }

  private tick(): void {
    this.time(this.clock.now());
    this.step();
  }

  /** Does what time alone brings about. */
  private time(now: number): void {
    this.lastTickMs = now;
    this.event(event(Kind.Tick));
    this.catalogue.forgetEvicted();
    for (const r of this.catalogue.renditions) r.feed.tick();
    this.catalogue.visit(now);
    if (now - this.plannedMs >= PLAN_EVERY_MS) {
      this.plannedMs = now;
      this.plan();
    }
    if (this.config.audience.experience().started || now - this.startedMs >= MEET_AFTER_MS) this.swarm?.start();
    this.swarm?.tick(now);
  }

  // ── the swarm ────────────────────────────────────────────────────────────

  private joinSwarm(config: SwarmConfig): Swarm {
    const { audience, scheduler, http } = this.config;
    const host: ConstructorParameters<typeof Swarm>[1] = {
      channel: this.channel,
      renditions: () => this.catalogue.renditions,
      playing: () => audience.renditions().slice(0, 8),
      object: (id) => this.catalogue.object(id),
      objectByKey: (key) => this.catalogue.objectByKey(key),
      expects: (...leaf) => scheduler.expects(...leaf),
      passesOn: () => scheduler.passesOn(),
      proven: () => scheduler.proven(),
      useful: () => scheduler.useful(),
      event: (e) => this.event(e),
      stored: (o, leaf, neighbour, bytes) => {
        this.counted.p2pBytes += bytes;
        o.transfer.fromPeer(bytes, this.clock.now());
        this.stored(o, leaf, neighbour);
      },
      rejected: () => void this.counted.rejectedLeaves++,
      uploaded: (bytes) => void (this.counted.uploadedBytes += bytes),
      learn: (record) => this.catalogue.learn(record),
      lists: (key) => this.catalogue.lists(key),
      heard: (o) => o.rendition.feed.heard(o.record.startMs + o.record.durationMs),
      account: () => {
        const { stalls, stallMs, latencyMs } = audience.experience();
        const { p2pBytes, uploadedBytes } = this.counted;
        const uplinkBps = scheduler.uplinkBytesPerSec() * 8;
        const httpBytes = http.counters.mediaBytes;
        return { uplinkBps, httpBytes, p2pBytes, uploadedBytes, stalls, stallMs, latencyMs };
      },
    };
    return new Swarm(config, host, this.store);
  }
}
