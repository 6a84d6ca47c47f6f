// What a channel offers right now: its renditions, their live windows, and the
// segments in them that are known by a verified record. Only what a Verifier
// accepted gets in.

import { equalBytes, type Bytes } from "./bytes";
import { Feed, type Accepted } from "./feed";
import type { Http, Text } from "./fetch";
import type { Inits } from "./inits";
import { leafCount, MAX_PLAYLIST_BYTES, readPlaylist, Verifier, type Playlist, type Verified } from "./manifest";
import type { Carried, Entry, Rendition } from "./objects";
import { event, Kind, type Event } from "./sched";
import type { Store } from "./store";
import { Transfer, type Clock, type NetworkMeter } from "./timing";
import { keyOf, type Key } from "./wire";

/** What left the playlist is kept this much longer for those who are behind. */
const KEEP_BEYOND_MS = 10_000;
/** The origin's grid: the media time of a gap is in no record. */
const SEGMENT_MS = 2000;

/** What the catalogue needs of the session. */
export interface CatalogueHost {
  event(e: Event): void;
  /** When a segment is needed, epoch ms; 0: it is not. */
  deadline(o: Carried, entry: Entry): number;
  /** A segment became known. */
  added(o: Carried): void;
  /** It is too old, or the store was full: nobody can have it any more. */
  removed(o: Carried): void;
  /** A window has changed, and all that is new was added. */
  changed(): void;
}

export class Catalogue {
  /** Why the latest playlist was refused, "" if it was not. */
  refused = "";
  readonly renditions: Rendition[];
  private readonly objects = new Map<number, Carried>();
  private readonly byKey = new Map<Key, Carried>();
  private readonly byUrl = new Map<string, Carried>();
  private nextObject = 0;

  constructor(
    channel: Bytes,
    renditions: { name: string; url: string }[],
    http: Http,
    private readonly store: Store,
    private readonly inits: Inits,
    private readonly meter: NetworkMeter,
    clock: Clock,
    private readonly host: CatalogueHost,
  ) {
    this.renditions = renditions.map(({ name, url }, id) => {
      const verifier = new Verifier(channel, name);
      const load = () => http.text(url, MAX_PLAYLIST_BYTES, { revalidate: true });
      const feed = new Feed(clock, load, (text) => this.accept(r, verifier, text));
      const r: Rendition = { id, name, url, feed, window: [], evicted: -1 };
      return r;
    });
  }

  rendition(name: string): Rendition | undefined {
    return this.renditions.find((r) => r.name === name);
  }

  object(id: number): Carried | undefined {
    return this.objects.get(id);
  }

  objectByKey(key: Key): Carried | undefined {
    return this.byKey.get(key);
  }

  objectByUrl(url: string): Carried | undefined {
    return this.byUrl.get(url);
  }

  /** Media time (epoch ms) at which a rendition's newest known segment ends; 0 if none is known. */
  headMs(name: string): number {
    const last = this.rendition(name)?.window.at(-1);
    return last ? last.startMs + last.durationMs : 0;
  }

  /** The window's entry for an object, or one made of its record if it left the window. */
  entryOf(o: Carried): Entry {
    const { startMs, durationMs, sequence } = o.record;
    return o.rendition.window.find((e) => e.object === o) ?? { number: sequence, startMs, durationMs, gap: false };
  }

  /** Follows the store when it made room. */
  forgetEvicted(): void {
    for (const record of this.store.evicted()) {
      const o = this.byKey.get(keyOf(record.root));
      if (!o) continue;
      o.rendition.evicted = Math.max(o.rendition.evicted, record.sequence);
      this.remove(o);
    }
  }

  private async accept(r: Rendition, verifier: Verifier, text: Text): Promise<Accepted> {
    try {
      const playlist = readPlaylist(text.text);
      const verified = await verifier.playlist(playlist, Date.now());
      this.refused = "";
      this.takeWindow(r, playlist, verified, text.url);
      return { headMs: this.headMs(r.name), targetDurationMs: playlist.targetDurationMs, ended: playlist.endList };
    } catch (error) {
      this.refused = (error as Error).message;
      throw error;
    }
  }

  /** Replaces a rendition's window, adds what is new to the objects and forgets what is too old. */
  private takeWindow(r: Rendition, playlist: Playlist, verified: Verified[], base: string): void {
    if (verified.length === 0) return;
    const known = new Map(verified.map((v) => [v.segment.number, v]));
    r.window = playlist.segments.map((s): Entry => {
      const record = known.get(s.number)?.record;
      const startMs = record?.startMs ?? s.number * SEGMENT_MS;
      return { number: s.number, startMs, durationMs: record?.durationMs ?? s.durationMs, gap: !record };
    });
    for (const e of r.window) {
      const v = known.get(e.number);
      if (!v) continue;
      e.object = this.add(r, v, new URL(v.segment.uri, base).href, e);
      if (v.segment.mapUri) this.inits.add(new URL(v.segment.mapUri, base).href, v.init);
    }
    const oldestMs = r.window[0].startMs - KEEP_BEYOND_MS;
    for (const o of [...this.objects.values()]) {
      if (o.rendition === r && o.record.startMs < oldestMs) this.remove(o);
    }
    this.host.changed();
  }

  private add(r: Rendition, v: Verified, url: string, entry: Entry): Carried | undefined {
    const record = v.record;
    const key = keyOf(record.root);
    const known = this.byKey.get(key);
    if (known) {
      if (!equalBytes(known.record.root, record.root)) return undefined; // another object with the same key
      this.byUrl.set(url, known);
      return known;
    }
    if (record.sequence <= r.evicted || this.store.add(record) !== "stored") return undefined;
    const o: Carried = {
      id: this.nextObject++,
      key,
      record,
      rendition: r,
      url,
      leaves: leafCount(record.size),
      deadlineMs: 0,
      transfer: new Transfer(this.meter),
      failures: 0,
      waiting: new Set(),
    };
    this.objects.set(o.id, o);
    this.byKey.set(key, o);
    this.byUrl.set(url, o);
    o.deadlineMs = this.host.deadline(o, entry);
    const { id, leaves, deadlineMs: value } = o;
    const { sequence, size } = record;
    this.host.event(event(Kind.ObjectAdd, { object: id, rendition: r.id, sequence, leaves, size, value }));
    this.host.added(o);
    return o;
  }

  private remove(o: Carried): void {
    this.host.event(event(Kind.ObjectRemove, { object: o.id }));
    this.store.remove(o.key);
    this.objects.delete(o.id);
    this.byKey.delete(o.key);
    for (const [url, x] of this.byUrl) if (x === o) this.byUrl.delete(url);
    this.host.removed(o);
  }
}
