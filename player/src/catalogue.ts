// What a channel offers right now: its renditions, their live windows, and the
// segments in them that are known by a verified record. Only what a Verifier
// accepted gets in.

import { equalBytes, type Bytes } from "./bytes";
import { Feed, type Accepted } from "./feed";
import type { Http, Text } from "./fetch";
import type { Inits } from "./inits";
import { leafCount, MAX_PLAYLIST_BYTES, readPlaylist, Verifier, type SignedRecord } from "./manifest";
import type { Carried, Entry, Rendition } from "./objects";
import { listed, mediaPlaylist, targetDurationMs, type Listed } from "./retell";
import { event, Kind, type Event } from "./sched";
import type { Store } from "./store";
import { Transfer, type Clock, type NetworkMeter } from "./timing";
import { keyOf, type Key } from "./wire";

/** What left the playlist is kept this much longer for those who are behind. */
const KEEP_BEYOND_MS = 10_000;

/** What the catalogue needs of the session. */
export interface CatalogueHost {
  event(e: Event): void;
  /** When a segment is needed, epoch ms; 0: it is not. */
  deadline(o: Carried, entry: Entry): number;
  /** A segment became known. */
  added(o: Carried): void;
  /** It is too old, or the store forgot its bytes. */
  removed(o: Carried): void;
  /** A window has changed, and all that is new was added. */
  changed(rendition: string): void;
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
      const r: Rendition = { id, name, url, feed, window: [] };
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

  /** Follows the store when it made room: what is still listed is known again, without its bytes. */
  forgetEvicted(): void {
    for (const record of this.store.evicted()) {
      const o = this.byKey.get(keyOf(record.root));
      if (!o) continue;
      this.remove(o);
      const entry = o.rendition.window.find((e) => e.object === o);
      if (entry) entry.object = this.add(o.rendition, record, o.url, entry, true);
    }
  }

  private async accept(r: Rendition, verifier: Verifier, text: Text): Promise<Accepted> {
    try {
      const playlist = readPlaylist(text.text);
      const verified = await verifier.playlist(playlist, Date.now());
      const list = listed(playlist, verified, text.url);
      this.refused = "";
      if (verified.length > 0) this.takeWindow(r, list);
      return {
        headMs: this.headMs(r.name),
        targetDurationMs: targetDurationMs(list),
        ended: playlist.endList,
        text: mediaPlaylist(playlist, list),
      };
    } catch (error) {
      this.refused = (error as Error).message;
      throw error;
    }
  }

  /** Replaces a rendition's window, adds what is new to the objects and forgets what is too old. */
  private takeWindow(r: Rendition, list: Listed[]): void {
    r.window = list.map(({ segment, startMs, durationMs, verified }): Entry => {
      return { number: segment.number, startMs, durationMs, gap: !verified };
    });
    list.forEach(({ verified, url, mapUrl }, i) => {
      if (!verified) return;
      r.window[i].object = this.add(r, verified.record, url, r.window[i]);
      if (mapUrl) this.inits.add(mapUrl, verified.init);
    });
    const oldestMs = r.window[0].startMs - KEEP_BEYOND_MS;
    for (const o of [...this.objects.values()]) {
      if (o.rendition === r && o.record.startMs < oldestMs) this.remove(o);
    }
    this.host.changed(r.name);
  }

  private add(r: Rendition, record: SignedRecord, url: string, entry: Entry, evicted = false): Carried | undefined {
    const key = keyOf(record.root);
    const known = this.byKey.get(key);
    if (known) {
      if (!equalBytes(known.record.root, record.root)) return undefined; // another object with the same key
      this.byUrl.set(url, known);
      return known;
    }
    if (this.store.add(record) !== "stored") return undefined;
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
      evicted,
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
