// Decides whether to believe the media playlists of one rendition; the twin of
// origin/manifest/verifier.go. It remembers what it has accepted, so that an old
// playlist is a replay, a changed past is equivocation, and a poll costs one
// signature per new segment.

import { bound } from "../bound";
import { equalBytes, toHex, type Bytes } from "../bytes";
import { checkDelegation, delegationHash, MAX_SKEW_MS, objection, type Delegation } from "./delegation";
import { ManifestError, type Code } from "./errors";
import { MAX_PARTS, MAX_SEGMENTS, type Part, type Playlist, type Segment } from "./playlist";
import { hashAhead, KIND_INIT, KIND_PART, KIND_SEGMENT, place, recordHash, segmentPlace, signedBy, type SignedRecord } from "./record";

/** A playlist whose newest record is older is a replay. */
export const MAX_AGE_MS = 600_000;
/** How far a playlist's head may fall behind the newest seen: the edges of a CDN refresh at different moments. */
export const MAX_LAG_SEGMENTS = 3;

/** A segment whose records and place have been checked. Its bytes have not. */
export interface Verified {
  /** As the playlist lists it; of this only the URIs are the playlist's word alone. */
  segment: Segment;
  record: SignedRecord;
  init: SignedRecord;
}

/** The delegations in a playlist, by key id. */
type Appointed = Map<string, Delegation[]>;

export class Verifier {
  private newest: Verified | undefined;
  /** Of the last playlist accepted. */
  private current: Delegation[] = [];
  private readonly seen = new Memory<number, SignedRecord>(2 * MAX_SEGMENTS);
  /** Records of init sections, of which one serves all segments of a playlist, and of parts, which are listed for a while. */
  private readonly checked = new Memory<string, Promise<boolean>>(4 * MAX_PARTS);
  private readonly appointed = new Memory<string, true>(64);
  private readonly acceptedParts = new Memory<string, SignedRecord>(16 * MAX_PARTS);
  /** The newest of them. */
  private open: SignedRecord | undefined;
  /** Signatures are checked asynchronously: playlists take turns. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly channel: Bytes,
    private readonly rendition: string,
  ) {}

  /** The newest segment number accepted, or -1. */
  get head(): number {
    return this.newest?.record.sequence ?? -1;
  }

  /**
   * Checks a media playlist and returns its segments, without gaps, in order. Throws a ManifestError if anything
   * in it is wrong; then the whole playlist is refused and nothing of it is remembered. A recording (EXT-X-ENDLIST) may be
   * of any age, and its delegations need to have been valid only when they were used.
   */
  playlist(list: Playlist, nowMs: number): Promise<Verified[]> {
    return this.inTurn(() => this.check(list, nowMs));
  }

  /**
   * Checks that a key of the channel signed the record, whatever its rendition. The keys known are those of the last
   * playlist accepted. Throws "delegation-key" if the key is not among them, which the next playlist may change, or
   * "signature" if somebody forged the record.
   */
  genuine(record: SignedRecord): Promise<void> {
    return this.inTurn(() => this.signed(record, byKey(this.current), place(record)));
  }

  /**
   * Checks a segment's record that came without a playlist, and takes it for the one after the newest. Of the segment in
   * the result only the URI is missing (see nextUri). Beyond what a playlist's records are held to, it must follow the
   * newest one exactly, since gaps and discontinuities are for a playlist to announce: "not-next" otherwise.
   */
  next(record: SignedRecord, nowMs: number): Promise<Verified> {
    return this.inTurn(() => this.checkNext(record, nowMs));
  }

  /**
   * Checks the parts of a playlist that was accepted just now, and returns them in order. A viewer whose playlist fails here
   * plays whole segments.
   */
  parts(list: Playlist, nowMs: number): Promise<Part[]> {
    return this.inTurn(async () => {
      const keys = byKey(list.delegations);
      let before: SignedRecord | undefined;
      for (const p of list.parts) {
        await this.checkPart(p, keys, before, nowMs);
        before = p.record;
      }
      for (const { record } of list.parts) this.rememberPart(record!);
      return list.parts;
    });
  }

  /**
   * Checks a part's record that came without a playlist, and takes it for the one after the newest part. Of the part in the
   * result only the URI is missing (see nextPartUri). What a playlist has to announce is "not-next", or "init".
   */
  nextPart(record: SignedRecord, nowMs: number): Promise<Part> {
    return this.inTurn(() => this.checkNextPart(record, nowMs));
  }

  private async checkNextPart(record: SignedRecord, nowMs: number): Promise<Part> {
    const refuse = (reason: string) => new ManifestError("not-next", place(record), reason);
    const keys = byKey(this.current);
    await this.signed(record, keys, place(record));
    const { newest, head } = this;
    if (!newest) throw refuse(NEW); // nothing was accepted before
    const before = this.open?.sequence === head + 1 ? this.open : undefined;
    const last = before ?? newest.record;
    const next: Part = { ...following(newest, record), index: record.part };
    await this.checkPart(next, keys, before, nowMs);
    const index = before ? before.part + 1 : 0;
    if (record.sequence !== head + 1 || record.part !== index) throw refuse(`part ${index} of segment ${head + 1} comes next`);
    if (record.session !== newest.record.session || record.variant !== newest.record.variant) throw refuse(NEW);
    const gapMs = record.startMs - (last.startMs + last.durationMs);
    if (Math.abs(gapMs) > 1) throw refuse(LATER(gapMs, "what came"));
    this.rememberPart(record);
    return next;
  }

  /** Checks one part, and its record against the record of the part before it, if there is one. */
  private async checkPart(p: Part, keys: Appointed, before: SignedRecord | undefined, nowMs: number): Promise<void> {
    const part = await this.authentic(p, keys, p.index);
    const { record } = part;
    this.fresh([part], false, nowMs);
    permitted(record, keys, nowMs);
    permitted(part.init, keys, nowMs);
    contradicts(record, this.acceptedParts.get(partId(record)), this.seen.get(p.number - 1));
    const gapMs = before?.sequence === p.number ? record.startMs - (before.startMs + before.durationMs) : 0;
    if (Math.abs(gapMs) > 1) throw new ManifestError("timing", place(record), LATER(gapMs, "the part"));
  }

  private rememberPart(record: SignedRecord): void {
    this.acceptedParts.put(partId(record), record);
    this.open = record;
  }

  private inTurn<T>(check: () => Promise<T>): Promise<T> {
    const result = this.turn.then(check);
    this.turn = result.catch(() => undefined);
    return result;
  }

  private async checkNext(record: SignedRecord, nowMs: number): Promise<Verified> {
    const refuse = (code: Code, reason: string) => new ManifestError(code, place(record), reason);
    if (record.kind !== KIND_SEGMENT) {
      throw refuse("kind", `its record is not that of a segment (kind ${record.kind})`);
    }
    if (record.rendition !== this.rendition) {
      throw refuse("rendition", `its record belongs to rendition "${record.rendition}"`);
    }
    const keys = byKey(this.current);
    await this.signed(record, keys, place(record));
    const { newest } = this;
    if (!newest) throw refuse("not-next", NEW); // nothing was accepted before
    const { sequence, startMs, durationMs, session, variant } = newest.record;
    const next: Verified = { segment: following(newest, record), record, init: newest.init };
    this.fresh([next], false, nowMs);
    permitted(record, keys, nowMs);
    permitted(next.init, keys, nowMs);
    this.consistent([next]);
    if (record.sequence !== sequence + 1) {
      throw refuse("not-next", `it does not come after segment ${sequence}, the newest`);
    }
    const same = equalBytes(record.init, newest.record.init) && record.session === session && record.variant === variant;
    if (!same) {
      throw refuse("not-next", NEW);
    }
    const gapMs = record.startMs - (startMs + durationMs);
    if (Math.abs(gapMs) > 1) {
      throw refuse("not-next", LATER(gapMs, "the segment"));
    }
    this.remember([next]);
    return next;
  }

  private async check(list: Playlist, nowMs: number): Promise<Verified[]> {
    const keys = await this.delegations(list.delegations);
    // All signatures are checked at once; the first objection in the playlist's order counts.
    const entries = list.segments.filter((s) => !s.gap).map((s) => this.authentic(s, keys));
    for (const entry of entries) entry.catch(() => undefined);
    const out: Verified[] = [];
    for (const entry of entries) out.push(await entry);
    if (out.length === 0) return out;
    this.fresh(out, list.endList, nowMs);
    for (const entry of out) {
      const atMs = list.endList ? entry.record.createdMs : nowMs; // what was signed in its time stays signed
      permitted(entry.record, keys, atMs);
      permitted(entry.init, keys, atMs);
    }
    this.consistent(out);
    for (const d of list.delegations) this.appointed.put(toHex(delegationHash(d)), true);
    this.current = list.delegations;
    this.remember(out);
    return out;
  }

  private async delegations(list: Delegation[]): Promise<Appointed> {
    for (const d of list) {
      if (!this.appointed.has(toHex(delegationHash(d)))) await checkDelegation(d, this.channel);
    }
    return byKey(list);
  }

  /** Checks one entry by itself: its records are there, in their place, and signed by an appointed key. */
  private async authentic(s: Segment, keys: Appointed, part?: number): Promise<Verified> {
    const inPart = part === undefined ? "" : `part ${part} of `;
    const where = inPart + segmentPlace(s.number, this.rendition);
    const refuse = (code: Code, reason: string) => new ManifestError(code, where, reason);
    const { record, initRecord: init } = s;
    if (!record) throw refuse("no-record", "it has no record");
    if (!init) throw refuse("no-record", "its init section has no record");
    if (record.kind !== (inPart ? KIND_PART : KIND_SEGMENT)) {
      throw refuse("kind", `its record is not that of a ${inPart ? "part" : "segment"} (kind ${record.kind})`);
    }
    if (init.kind !== KIND_INIT) {
      throw refuse("kind", `the record beside its init section is not that of an init section (kind ${init.kind})`);
    }
    if (record.rendition !== this.rendition) {
      throw refuse("rendition", `its record belongs to rendition "${record.rendition}"`);
    }
    if (init.rendition !== this.rendition) {
      throw refuse("rendition", `the record of its init section belongs to rendition "${init.rendition}"`);
    }
    if (record.sequence !== s.number || record.part !== (part ?? 0)) {
      throw refuse("sequence", `its record is that of ${place(record)}`);
    }
    const genuine = this.signed(init, keys, `${where}: its init section`);
    genuine.catch(() => undefined); // told in its turn
    await Promise.all([this.signed(record, keys, where), hashAhead(record)]);
    await genuine;
    if (!equalBytes(record.init, init.root)) {
      throw refuse("init", "it was signed for another init section than the one listed");
    }
    const mistimed = mistiming(s, record);
    if (mistimed) throw refuse("timing", mistimed);
    return { segment: s, record, init };
  }

  private async signed(record: SignedRecord, keys: Appointed, where: string): Promise<void> {
    const appointed = keys.get(record.key);
    if (!appointed) {
      throw new ManifestError(
        "delegation-key",
        where,
        `the playlist has no delegation for the key ${record.key} that signed its record`,
      );
    }
    record.region = appointed[0].region;
    const old = this.seen.get(record.sequence);
    if (old && equalBytes(old.encoded, record.encoded)) return;
    const check = () => signedBy(record, this.channel, appointed[0].signingKey);
    if (!(await (record.kind === KIND_SEGMENT ? check() : this.once(record, check)))) {
      throw new ManifestError(
        "signature",
        where,
        "the signature of its record does not match: the record was changed, or another key signed it",
      );
    }
  }

  private once(record: SignedRecord, check: () => Promise<boolean>): Promise<boolean> {
    const id = toHex(recordHash(record)) + record.key;
    const known = this.checked.get(id) ?? check();
    this.checked.put(id, known);
    known.catch(() => this.checked.delete(id)); // it could not be told: another time
    return known;
  }

  /** Refuses a playlist that was true once. One that has ended may be of any age: it does not pretend to be live. */
  private fresh(list: Verified[], ended: boolean, nowMs: number): void {
    const newest = list[list.length - 1].record;
    const replay = (reason: string) => new ManifestError("replay", "this playlist is a replay", reason);
    if (newest.sequence < this.head - MAX_LAG_SEGMENTS) {
      throw replay(`it ends with ${place(newest)}, but segment ${this.head} was there before`);
    }
    if (nowMs - newest.createdMs > MAX_AGE_MS && !ended) {
      const minutes = Math.trunc((nowMs - newest.createdMs) / 60_000);
      throw replay(`its newest record, ${place(newest)}, was signed ${minutes} minutes ago`);
    }
    for (const { record } of list) {
      const ahead = record.createdMs - nowMs;
      if (ahead > MAX_SKEW_MS) {
        throw new ManifestError(
          "future",
          place(record),
          `its record was signed ${Math.trunc(ahead / 1000)} s in the future: one of the clocks is wrong`,
        );
      }
    }
  }

  /**
   * Checks the records against each other and against those accepted before. Contents are the same in all regions, but each signs a
   * chain of its own, which a CDN may lead a viewer away from and back to.
   */
  private consistent(list: Verified[]): void {
    list.forEach(({ record }, i) => {
      const before = i > 0 ? list[i - 1].record : this.seen.get(record.sequence - 1);
      contradicts(record, this.seen.get(record.sequence), before);
    });
  }

  private remember(list: Verified[]): void {
    for (const entry of list) {
      this.seen.put(entry.record.sequence, entry.record);
      if (entry.record.sequence >= this.head) this.newest = entry;
    }
  }
}

const NEW = "it begins something new, which a playlist has to announce";
const LATER = (gapMs: number, what: string) => `it begins ${gapMs} ms after the end of ${what} before it`;

/** A segment or part that a record of its own tells of, after the newest segment. Its address is missing. */
function following(newest: Verified, record: SignedRecord): Segment {
  const { sequence: number, durationMs } = record;
  const { mapUri } = newest.segment;
  return { number, uri: "", durationMs, pdtMs: 0, gap: false, discontinuity: false, mapUri, initRecord: newest.init, record };
}

/** Holds a record to an older one of the same place, and to that of the segment before it, as far as these are known. */
function contradicts(record: SignedRecord, old: SignedRecord | undefined, before: SignedRecord | undefined): void {
  if (old && !equalBytes(old.root, record.root) && old.variant === record.variant) {
    throw new ManifestError("equivocation", place(record), "equivocation: the channel signed two different contents for it");
  }
  if (before && before.region === record.region && !equalBytes(record.previous, recordHash(before))) {
    throw new ManifestError(
      "chain",
      place(record),
      `its record does not follow that of segment ${before.sequence}: one was left out or replaced`,
    );
  }
}

/** Names a part among those of its rendition. */
function partId({ sequence, part }: SignedRecord): string {
  return `${sequence}.${part}`;
}

function byKey(list: Delegation[]): Appointed {
  const keys: Appointed = new Map();
  for (const d of list) {
    const same = keys.get(d.key);
    if (same) same.push(d);
    else keys.set(d.key, [d]);
  }
  return keys;
}

/** How the times that players read differ from the signed ones by more than rounding, or "". */
function mistiming(s: Segment, record: SignedRecord): string {
  if (Math.abs(s.durationMs - record.durationMs) > 1) {
    return `the playlist says it lasts ${s.durationMs} ms, its record ${record.durationMs} ms`;
  }
  if (s.pdtMs !== 0 && Math.abs(s.pdtMs - record.startMs) > 1) {
    return `the playlist says it starts at ${s.pdtMs} ms, its record at ${record.startMs} ms`;
  }
  return "";
}

/** Checks a record against the delegations of its key; one must do. */
function permitted(record: SignedRecord, keys: Appointed, nowMs: number): void {
  let first: ManifestError | undefined;
  for (const d of keys.get(record.key) ?? []) {
    const error = objection(d, record, nowMs);
    if (!error) return;
    first ??= error;
  }
  if (first) throw first;
}

/** A map that forgets its oldest keys. */
class Memory<K, V> {
  private readonly values = new Map<K, V>();

  constructor(private readonly limit: number) {}

  get(key: K): V | undefined {
    return this.values.get(key);
  }

  has(key: K): boolean {
    return this.values.has(key);
  }

  delete(key: K): void {
    this.values.delete(key);
  }

  put(key: K, value: V): void {
    this.values.set(key, value);
    bound(this.values, this.limit);
  }
}
