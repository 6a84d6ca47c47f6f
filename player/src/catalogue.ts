// What a channel offers right now: its renditions, their live windows, and the
// segments in them that are known by a verified record. Only what a Verifier
// accepted gets in, from a playlist or by a neighbour's word.

import { concat, equalBytes, type Bytes } from "./bytes";
import { readPast, type Past } from "./chapters";
import { Feed, type Edge, type Turn } from "./feed";
import type { Text } from "./fetch";
import type { MediaHttp } from "./media-http";
import type { Several } from "./port";
import type { Judgement } from "./gossip";
import type { Inits } from "./inits";
import {
  KIND_PART,
  leafCount,
  ManifestError,
  nextPartUri,
  nextUri,
  readPlaylist,
  Verifier,
  type Part,
  type Playlist,
  type SignedRecord,
  type Verified,
} from "./manifest";
import { turnOf, type Carried, type Listing, type Offered, type Rendition } from "./objects";
import { address, listed, listedPart, mediaPlaylist, partTargetMs, targetDurationMs, type Listed, type ListedPart } from "./retell";
import { event, Kind, type Event } from "./sched";
import type { Store } from "./store";
import { Transfer, type Clock, type NetworkMeter } from "./timing";
import { beginningMs, SYNC_SEGMENTS } from "./view";
import { keyOf, type Key } from "./wire";

/** Parts are listed of so many whole segments, as by the origin. */
const LISTED_PARTS = 3;
/** What left the playlist is kept this much longer for those who are behind. */
const KEEP_BEYOND_MS = 10_000;
/** Records of later segments than the next that are kept until the next one is there. */
const MAX_AHEAD = 8;
/** Of a recording so many segments are on the books at most, beyond those that are held or wanted. */
const MAX_RECORDED = 512;

/** What the catalogue needs of the session. */
export interface CatalogueHost {
  event(e: Event): void;
  /** When a segment is needed, epoch ms; 0: it is not. */
  deadline(o: Carried, entry: Listing): number;
  /** A segment became known; found: it is the newest of its rendition, and our own poll brought it. */
  added(o: Carried, found: boolean): void;
  /** It was put together from its parts. */
  assembled(o: Carried): void;
  /** It is too old, or the store forgot its bytes. */
  removed(o: Carried): void;
  /** A window has changed, and all that is new was added. */
  changed(rendition: string): void;
  /** Whose turn it is to look for a segment. */
  turn(rendition: string, sequence: number): Turn;
  /** A viewer waits for its first picture. */
  hurries(): boolean;
}

/** What a rendition's playlist said last, and what neighbours told since. */
interface Told {
  playlist: Playlist;
  list: Listed[];
  /** In order, those of the newest segments and of the one that is not complete yet. */
  parts: ListedPart[];
  base: string;
  /** How many segments a playlist lists. */
  length: number;
}

export class Catalogue {
  /** Why the latest playlist was refused, "" if it was not. */
  refused = "";
  readonly renditions: Rendition[];
  private readonly objects = new Map<number, Carried>();
  private readonly byKey = new Map<Key, Carried>();
  private readonly byUrl = new Map<string, Carried>();
  private readonly told = new Map<Rendition, Told>();
  /** Keys of all segments that are listed and need not be on the books. */
  private readonly recorded = new Set<Key>();
  private nextObject = 0;

  constructor(
    private readonly channel: Bytes,
    renditions: Offered[],
    private readonly http: MediaHttp,
    private readonly store: Store,
    private readonly inits: Inits,
    private readonly meter: NetworkMeter,
    clock: Clock,
    private readonly host: CatalogueHost,
  ) {
    this.renditions = renditions.map(({ name, url, dvr }, id) => {
      const verifier = new Verifier(channel, name);
      const feed = new Feed(clock, {
        load: (until, second) => http.playlist(url, until, second),
        accept: (text) => this.accept(r, text),
        turn: (sequence) => host.turn(name, sequence),
      });
      const r: Rendition = { id, name, url, dvr, feed, verifier, ahead: [], window: [], split: [] };
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
    const known = this.byUrl.get(url);
    if (known) return known;
    for (const r of this.renditions) {
      const entry = [...r.window, ...r.split].find((e) => e.segment?.url === url);
      if (entry) return this.enter(r, entry);
    }
    return undefined;
  }

  /** Whether a record is known, be its segment on the books or not. */
  lists(key: Key): boolean {
    return this.byKey.has(key) || this.recorded.has(key);
  }

  /** Puts a listed segment on the books. */
  enter(r: Rendition, entry: Listing, found = false): Carried | undefined {
    const { segment } = entry;
    if (!entry.object && segment) entry.object = this.add(r, segment.record, segment.url, entry, found);
    return entry.object;
  }

  /** The window's entry for an object, or one made of its record if it left the window. */
  entryOf(o: Carried): Listing {
    const { startMs, durationMs, sequence } = o.record;
    const { window, split } = o.rendition;
    return [...window, ...split].find((e) => e.object === o) ?? { number: sequence, startMs, durationMs, gap: false };
  }

  /** Follows the store when it made room: what is still listed is known again, without its bytes. */
  forgetEvicted(): void {
    for (const record of this.store.evicted()) {
      const o = this.byKey.get(keyOf(record.root));
      if (!o) continue;
      this.remove(o);
      const entry = [...o.rendition.window, ...o.rendition.split].find((e) => e.object === o);
      if (entry) entry.object = this.add(o.rendition, record, o.url, entry, false, true);
    }
  }

  /**
   * Judges a record that a neighbour told, and moves its rendition's live edge if it can. A false signature is the
   * neighbour's fault.
   */
  async learn(record: SignedRecord): Promise<Judgement> {
    const r = this.rendition(record.rendition);
    try {
      if (!r || r.verifier.head < 0) await this.anyVerifier()?.genuine(record);
      else await this.follow(r, record);
    } catch (error) {
      const code = error instanceof ManifestError ? error.code : "";
      if (code === "signature") return "forged";
      r?.feed.pollSoon(); // whatever it is, the playlist explains it
      if (code === "delegation-key") return "unknown-key";
    }
    return "genuine";
  }

  /** Takes a record in, and those that came before it although they are of what comes after it. */
  private async follow(r: Rendition, record: SignedRecord): Promise<void> {
    if (!this.isNext(r, record)) {
      await r.verifier.genuine(record);
      if (record.sequence <= r.verifier.head) return;
      if (!this.isNext(r, record)) {
        if (r.ahead.length < MAX_AHEAD) r.ahead.push(record);
        return;
      }
    }
    if (record.kind === KIND_PART) this.extendBy(r, await r.verifier.nextPart(record, Date.now()));
    else this.extend(r, await r.verifier.next(record, Date.now()));
    const next = r.ahead.find((other) => this.isNext(r, other));
    r.ahead = r.ahead.filter((other) => other !== next && other.sequence > r.verifier.head);
    if (next) await this.follow(r, next);
  }

  /** Whether a record is of what comes next: a part, or where there are parts a segment all of whose parts are known. */
  private isNext(r: Rendition, { kind, sequence, part, startMs, durationMs }: SignedRecord): boolean {
    const parts = this.told.get(r)?.parts ?? [];
    if (sequence !== r.verifier.head + 1) return false;
    if (parts.length === 0) return kind !== KIND_PART;
    const open = parts.filter((p) => p.number === sequence);
    if (kind === KIND_PART) return part === open.length;
    const last = open.at(-1)?.record;
    return last !== undefined && Math.abs(last.startMs + last.durationMs - startMs - durationMs) <= open.length;
  }

  private anyVerifier(): Verifier | undefined {
    return this.renditions.find((r) => r.verifier.head >= 0)?.verifier;
  }

  private async accept(r: Rendition, text: Text): Promise<Edge> {
    try {
      const playlist = readPlaylist(text.text);
      const cdns = await this.http.cdns;
      cdns?.check(text, variantOf(r));
      if (!this.told.has(r) && this.host.hurries()) this.askAhead(playlist, text.url, cdns);
      const before = r.verifier.head;
      const verified = await r.verifier.playlist(playlist, Date.now());
      cdns?.judge(text, before, r.verifier.head);
      const list = [...listed(playlist, verified, text.url)];
      let { length } = list;
      this.refused = "";
      const parts = await r.verifier.parts(playlist, Date.now()).then(
        (parts) => parts.map((p) => listedPart(p, text.url)),
        (): ListedPart[] => [], // whole segments are played
      );
      // An edge of the CDN that lags does not take back what a neighbour told.
      const after = (list.at(-1)?.segment.number ?? Infinity) + 1;
      const told = this.told.get(r);
      const known = told?.list.filter((e) => e.segment.number >= after) ?? [];
      if (known[0]?.segment.number === after && !playlist.endList) list.push(...known);
      // Nor does what a young channel's playlist still lists come back: players count from the first.
      if (told) shorten(playlist, list, told.playlist.mediaSequence - playlist.mediaSequence);
      const past: Past | undefined = r.dvr ? (told ?? (await this.past(r, r.dvr))) : undefined;
      if (past) {
        prolong(playlist, list, past);
        length = past.length;
        shorten(playlist, list, list.length - length);
      }
      const newest = parts.at(-1);
      if (newest && told) parts.push(...told.parts.filter((p) => p.record.startMs > newest.record.startMs));
      return this.tell(r, { playlist, list, parts, base: text.url, length }, true);
    } catch (error) {
      (await this.http.cdns)?.blame(text.from);
      this.refused = (error as Error).message;
      throw error;
    }
  }

  /** Without a past there is the live window. */
  private past(r: Rendition, url: string): Promise<Past | undefined> {
    return readPast(url, (url) => this.http.playlist(url), this.channel, r.name).catch(() => undefined);
  }

  /** Asks for what a player begins with while the playlist is verified; the bytes are, whenever they are taken. */
  private askAhead({ segments, parts, endList }: Playlist, base: string, cdns: Several | undefined): void {
    const shown = segments.filter((s) => !s.gap);
    const first = endList ? shown[0] : shown.at(-SYNC_SEGMENTS);
    for (const uri of first && parts.length === 0 ? [first.mapUri, first.uri] : []) {
      const url = address(uri, base);
      if (url) this.http.ahead(url.href, cdns?.address(url.href));
    }
  }

  /** Asks a CDN that was ill whether it is well again. */
  visit(nowMs: number): void {
    const r = this.renditions.find((r) => r.feed.active && r.window.length > 0);
    if (r && this.http.cdns) void this.http.visit(nowMs, r.url, r.verifier.head, variantOf(r));
  }

  /** Lists the segment of a record that came without a playlist. */
  private extend(r: Rendition, verified: Verified): void {
    const told = this.told.get(r);
    const { record } = verified;
    const uri = told && nextUri(told.list.map((e) => e.segment), record.sequence);
    const url = uri && address(uri, told.base)?.href;
    const last = told?.list.at(-1);
    if (!url || last?.segment.number !== record.sequence - 1) return r.feed.pollSoon();
    const segment = { ...verified.segment, uri };
    const { startMs, durationMs } = record;
    const entry: Listed = { segment, verified: { ...verified, segment }, startMs, durationMs, url, mapUrl: last.mapUrl };
    const list = [...told.list, entry];
    const playlist = { ...told.playlist };
    shorten(playlist, list, list.length - Math.max(told.length, 1));
    r.feed.advance(this.tell(r, { ...told, playlist, list }));
  }

  /** Lists a part whose record came without a playlist. */
  private extendBy(r: Rendition, part: Part): void {
    const told = this.told.get(r);
    const uri = told && nextPartUri(told.parts, part.number, part.index);
    if (!uri) return r.feed.pollSoon();
    r.feed.advance(this.tell(r, { ...told, parts: [...told.parts, listedPart({ ...part, uri }, told.base)] }));
  }

  private tell(r: Rendition, told: Told, found = false): Edge {
    const { playlist, list } = told;
    const last = list.at(-1);
    const oldest = list.at(-LISTED_PARTS)?.segment.number ?? 0;
    const parts = told.parts.filter((p) => p.number >= oldest);
    this.told.set(r, { ...told, parts });
    if (list.some((e) => e.verified)) this.takeWindow(r, list, parts, playlist.endList, found);
    const number = (last?.segment.number ?? -1) + 1;
    const open = parts.filter((p) => p.number === number);
    const lastMs = last ? last.startMs + last.durationMs : 0;
    const headMs = open.reduce((ms, p) => ms + p.durationMs, lastMs);
    const durationMs = last?.durationMs ?? 2000;
    // The parts of a segment are out before it is: then the next one's are waited for.
    const full = headMs - lastMs > durationMs - partTargetMs(parts) / 2 && open.length > 0;
    return {
      at: { number, part: open.length },
      awaited: full ? { number: number + 1, part: 0 } : { number, part: open.length },
      headMs,
      durationMs: partTargetMs(parts) || durationMs,
      targetDurationMs: targetDurationMs(list),
      ended: playlist.endList,
      blocks: playlist.blocks && parts.length > 0,
      text: mediaPlaylist(playlist, list, parts),
    };
  }

  /** Replaces a rendition's window, adds what is new to the objects and forgets what is too old. */
  private takeWindow(r: Rendition, list: Listed[], parts: ListedPart[], ended: boolean, found: boolean): void {
    const listing = (number: number, startMs: number, durationMs: number, record: SignedRecord | undefined, url: string): Listing => {
      return { number, startMs, durationMs, gap: !record, segment: record && { record, url }, object: record && this.byUrl.get(url) };
    };
    const part = ({ number, record, url }: ListedPart) => listing(number, record.startMs, record.durationMs, record, url);
    r.window = [];
    r.split = [];
    for (const { segment, startMs, durationMs, verified, url, mapUrl } of list) {
      const { number } = segment;
      const entry = listing(number, startMs, durationMs, verified?.record, url);
      const own = parts.filter((p) => p.number === number);
      const missingMs = own.reduce((ms, p) => ms - p.durationMs, durationMs);
      if (own.length > 0 && Math.abs(missingMs) <= own.length) {
        r.split.push({ ...entry, split: true });
        r.window.push(...own.map(part));
      } else r.window.push(entry);
      if (verified && mapUrl) this.inits.add(mapUrl, verified.init);
    }
    const open = parts.filter((p) => p.number > list.at(-1)!.segment.number);
    for (const p of open) if (p.mapUrl) this.inits.add(p.mapUrl, p.initRecord!);
    r.window.push(...open.map(part));
    // A recording is long, and of a live window only the end is played: the rest is entered when the playhead comes near, see session.ts.
    if (r.dvr || r.sinceMs === undefined) r.sinceMs = ended ? Infinity : (beginningMs(r.window, false) ?? 0);
    for (const entries of [r.window, r.split]) {
      entries.forEach((e, i) => {
        if (e.startMs >= r.sinceMs!) this.enter(r, e, found && i === entries.length - 1);
        else if (e.segment) this.recorded.add(keyOf(e.segment.record.root));
      });
    }
    for (const { number } of r.split) this.assemble(r, number);
    const oldestMs = r.window[0].startMs - KEEP_BEYOND_MS;
    for (const o of [...this.objects.values()]) {
      if (o.rendition === r && o.record.startMs < oldestMs) this.remove(o);
    }
    this.host.changed(r.name);
  }

  /** Puts a segment together if all of its parts are there: it is the same bytes, and checked like any others. */
  assemble(r: Rendition, number: number): void {
    const whole = r.split.find((e) => e.number === number)?.object;
    if (!whole || whole.made || this.store.complete(whole.key)) return;
    const parts = r.window.filter((e) => e.number === number).map((e) => e.object && this.store.object(e.object.key));
    if (!parts.every((bytes) => bytes !== undefined)) return;
    whole.made = true;
    void this.store.putObject(whole.key, concat(...parts)).then((outcome) => {
      if (outcome === "stored") this.host.assembled(whole);
    });
  }

  /** Takes segments of a recording off the books that have nothing to be kept for, if there are too many. */
  private forgetFar(): void {
    if (this.objects.size <= MAX_RECORDED) return;
    for (const o of this.objects.values()) {
      const needed = o.deadlineMs > 0 || o.waiting.size > 0 || this.store.heldBytes(o.key) > 0;
      if (needed || !this.recorded.has(o.key)) continue;
      const entry = o.rendition.window.find((e) => e.object === o);
      if (entry) entry.object = undefined;
      return this.remove(o);
    }
  }

  private add(r: Rendition, record: SignedRecord, url: string, entry: Listing, found: boolean, evicted = false): Carried | undefined {
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
    const { size } = record;
    this.host.event(event(Kind.ObjectAdd, { object: id, rendition: r.id, sequence: turnOf(record), leaves, size, value }));
    this.host.added(o, found);
    this.forgetFar();
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

/** Which encoder's segments are known. */
function variantOf(r: Rendition): number | undefined {
  return r.window[0]?.segment?.record.variant;
}

/** Lists what came before, too, if there is nothing between. */
function prolong(playlist: Playlist, list: Listed[], { playlist: { mediaSequence, discontinuitySequence }, list: older }: Past): void {
  const before = older.filter((e) => e.segment.number < playlist.mediaSequence);
  if (before.at(-1)?.segment.number !== playlist.mediaSequence - 1) return;
  list.unshift(...before);
  Object.assign(playlist, { mediaSequence, discontinuitySequence });
}

/** Takes segments off a playlist's beginning, but one. */
function shorten(playlist: Playlist, list: Listed[], count: number): void {
  for (let n = Math.min(count, list.length - 1); n > 0; n--) {
    if (list.shift()!.segment.discontinuity) playlist.discontinuitySequence++;
    playlist.mediaSequence++;
  }
}
