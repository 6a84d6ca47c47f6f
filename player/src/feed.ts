// One rendition's media playlist, kept fresh while somebody plays it: by what
// neighbours tell (section 6 of peer/PROTOCOL.md), and by polls where they do not. The
// session does that rather than the player: a new segment is to be fetched as soon as it
// is known, not when the player gets to it, and one viewer's poll serves many. The
// player's own requests are answered from here.

import { HttpError, type Text } from "./fetch";
import { ManifestError } from "./manifest";
import type { Place } from "./port";
import type { Clock } from "./timing";

/** Until the head has moved once nobody knows when it does: a poll after so long, then ever more rarely. */
const FIRST_LOOK_MS = 400;
/** A poll no later than this after its time was as early as it could be: ticks are coarse. */
const PROMPT_MS = 60;
/** After a poll that came too early; then once for each segment. */
const AGAIN_MS = [200, 400, 800];
// Where the next segment is expected moves a little with each poll, so that polls settle just behind the origin.
const EARLIER_MS = 25;
const LATER_MS = 75;
// Who is not the first to look waits for a neighbour to tell, in parts of a segment: so much, and up to so much more.
const WAIT_PART = 1 / 5;
const WAIT_SPREAD = 3 / 10;
/** A neighbour's word is news within this part of a segment after our own poll, and a CDN that tells nothing new for so long after its time is doubted. */
const LATE_PART = 1 / 2;
/** So many segments in a row that nobody told us of, and we poll as if we had no neighbours. */
const LONELY_AFTER = 2;
/** A request that waits for what is new is made so long before that is expected. */
const BLOCK_MS = 150;
/** A head that is older was not the head any more. */
const FRESH_SEGMENTS = 1.5;
/** A poll because of something that only the playlist explains: no sooner than this after the last. */
const SOON_MS = 300;
const RETRY_MS = 400;
const RETRY_MAX_MS = 4000;
/** A player that has not asked for this many target durations has gone. */
const ABANDONED_AFTER_TARGETS = 3;
/** A player waits for news for this many target durations; then it gets what it had. */
const WAIT_TARGETS = 1.5;
/** How long polls may fail before the player is told. */
const PATIENCE_MS = 8000;

/** What is known of a rendition. */
export interface Edge {
  /** Of what is known nothing is missing before this part (0: no part of that segment is known). */
  at: { number: number; part: number };
  /** What there will be next. */
  awaited: { number: number; part: number };
  /** The newest segment or part: its end in media time, how long it is. */
  headMs: number;
  durationMs: number;
  targetDurationMs: number;
  ended: boolean;
  /** The server holds requests for what is awaited until it is there. */
  blocks: boolean;
  /** The playlist that the player may read. */
  text: string;
}

export interface FeedHost {
  /** Asks the CDN; for a playlist that has a place, if one is given; or for a second opinion. */
  load(until?: Place, second?: boolean): Promise<Text>;
  /** Verifies a playlist and takes it in; throws to refuse it. */
  accept(text: Text): Promise<Edge>;
  /** Whose turn it is to look for a segment or part: ours if the rank is 0, else after so many of so many. */
  turn(turn: number): Turn;
}

export interface Turn {
  rank: number;
  /** Neighbours that could tell, and we. */
  among: number;
}

interface Reader {
  untilMs: number;
  /** Take whatever the next poll brings, even if nothing changed. */
  anything: boolean;
  /** Wait until this is there, not only for any change. */
  place?: Place;
  resolve: (text: Text) => void;
  reject: (error: Error) => void;
}

export class Feed {
  private latest: Text | undefined;
  private fresh = false; // latest has not been given to the player yet
  private edge: Edge | undefined;
  private moved = false;
  /** How long after its end in media time a segment becomes known, at best. */
  private lagMs = Infinity;
  private misses = 0; // polls since the head moved that did not find it moved
  private polling = false;
  private offered: Text | undefined; // takes the place of the next poll's answer
  private polledMs = -Infinity;
  private soonMs: number | undefined; // an extra poll then
  private hurried = false; // there was one since the head moved
  private askedMs = -Infinity;
  private failures = 0;
  private failingSinceMs = 0;
  private readers: Reader[] = [];
  /** What we found by polling, until the next one. */
  private found: { headMs: number; atMs: number } | undefined;
  private toldMs = -1; // the end of the newest segment or part that a neighbour told of
  private untold = 0; // segments in a row that nobody told of in time

  constructor(
    private readonly clock: Clock,
    private readonly host: FeedHost,
  ) {}

  /** Whether a player follows this rendition. */
  get active(): boolean {
    return this.readers.length > 0 || this.clock.now() - this.askedMs < ABANDONED_AFTER_TARGETS * this.targetMs;
  }

  /** Whether it is a recording, or a broadcast that is over. */
  get ended(): boolean {
    return this.edge?.ended ?? false;
  }

  /** Whether the newest poll succeeded. */
  get healthy(): boolean {
    return this.latest !== undefined && this.failures === 0;
  }

  /**
   * For the player: the newest verified playlist, or the next one if it has that already; with a place, the first one that
   * has it. It may bring an answer of the CDN.
   */
  read(fetched?: Text, place?: Place): Promise<Text> {
    const now = this.clock.now();
    if (!this.polling) this.offered = fetched;
    const wasActive = this.active;
    this.askedMs = now;
    const known = !wasActive ? this.upToDate(now) : place ? this.has(place) : this.fresh;
    if (this.latest && (this.ended || known)) {
      return Promise.resolve(this.take(this.latest));
    }
    return new Promise((resolve, reject) => {
      this.readers.push({ untilMs: now + WAIT_TARGETS * this.targetMs, anything: !wasActive, place, resolve, reject });
      if (!wasActive) this.soonMs = now;
      this.tick();
    });
  }

  /** A neighbour's record, verified, moved the live edge. */
  advance(edge: Edge): void {
    if (!this.latest) return;
    this.found = undefined;
    this.untold = 0;
    this.move(edge, { ...this.latest, receivedMs: performance.now() });
    this.answer((r) => this.suits(r, true));
  }

  /** A neighbour told of a segment or part that we know, by its end. */
  heard(endMs: number): void {
    this.toldMs = Math.max(this.toldMs, endMs);
    const { found } = this;
    if (found?.headMs !== endMs || this.clock.now() > found.atMs + this.durationMs * LATE_PART) return;
    this.found = undefined;
    this.untold = 0;
  }

  /** A neighbour knows something newer that only the playlist explains. */
  pollSoon(): void {
    if (this.hurried || !this.active || this.failures > 0) return;
    this.hurried = true;
    this.soonMs = this.polledMs + SOON_MS;
  }

  /** To be called often. */
  tick(): void {
    const now = this.clock.now();
    if (this.latest && !this.failures) this.answer((r) => now >= r.untilMs);
    if (this.polling || this.ended || now < this.dueMs() || !this.active) return;
    this.polling = true;
    this.polledMs = now;
    this.soonMs = undefined;
    void this.poll().finally(() => (this.polling = false));
  }

  /** Neighbours told what is new although nobody here followed it. */
  private upToDate(now: number): boolean {
    const { edge } = this;
    return this.moved && edge !== undefined && now < edge.headMs + edge.durationMs * FRESH_SEGMENTS + this.lagMs;
  }

  private get targetMs(): number {
    return this.edge?.targetDurationMs ?? 2000;
  }

  private get durationMs(): number {
    return this.edge?.durationMs ?? 2000;
  }

  /** When the next poll is due. */
  private dueMs(): number {
    const { edge, polledMs, soonMs = Infinity } = this;
    if (this.failures > 0) return polledMs + Math.min(RETRY_MS * 2 ** Math.min(this.failures - 1, 4), RETRY_MAX_MS);
    if (!edge) return polledMs + FIRST_LOOK_MS;
    const againMs = this.moved ? AGAIN_MS[this.misses - 1] : FIRST_LOOK_MS * 2 ** Math.min(this.misses >> 1, 3);
    if (!this.moved || this.misses > 0) {
      if (edge.blocks && this.misses === 0) return polledMs;
      return Math.min(soonMs, polledMs + Math.min(againMs ?? Infinity, edge.targetDurationMs));
    }
    const { rank, among } = this.host.turn(turnOf(edge));
    const first = rank === 0 || this.untold >= LONELY_AFTER;
    const waitMs = first ? (edge.blocks ? -BLOCK_MS : 0) : edge.durationMs * (WAIT_PART + (WAIT_SPREAD * (rank - 1)) / among);
    return Math.min(soonMs, this.expectedMs(edge) + waitMs);
  }

  /** When there should be another segment. */
  private expectedMs(edge: Edge): number {
    return edge.headMs + edge.durationMs + this.lagMs;
  }

  private async poll(): Promise<void> {
    try {
      const text = this.offered ?? (await this.load());
      this.offered = undefined;
      const edge = await this.host.accept(text);
      const before = this.edge;
      const prompt = before !== undefined && this.misses === 0 && this.polledMs <= this.expectedMs(before) + PROMPT_MS;
      const settled = this.moved;
      const changed = this.move(edge, text);
      this.failures = 0;
      if (changed) {
        if (settled && prompt && !edge.blocks) this.lagMs -= EARLIER_MS;
        if (before) this.foundIt(edge);
      } else if (!settled || this.polledMs >= this.expectedMs(edge) || edge.blocks) {
        if (this.misses++ === 0 && settled) this.lagMs += LATER_MS; // before its time a poll says nothing
      }
      const now = this.clock.now();
      this.answer((r) => this.suits(r, changed) || now >= r.untilMs);
    } catch (error) {
      this.failed(error as Error);
    }
  }

  /** Where the server can, the answer comes when there is something new. Nothing new in time is no failure. */
  private async load(): Promise<Text> {
    const { edge, misses, failures } = this;
    // The CDN tells nothing new although it was long time for it: every other poll asks another one, which may have failed itself.
    const doubtful = edge && misses & 1 && failures === 0 && this.clock.now() > this.expectedMs(edge) + edge.durationMs * LATE_PART;
    if (!edge?.blocks || misses > 0) return this.host.load(undefined, !!doubtful);
    return this.host.load(edge.awaited).catch(() => this.host.load());
  }

  /** Whether a reader waits for nothing more. */
  private suits(r: Reader, changed: boolean): boolean {
    return r.anything || (r.place ? this.has(r.place) : changed);
  }

  private has({ number, part = Infinity }: Place): boolean {
    const at = this.edge?.at;
    return at !== undefined && (number < at.number || (number === at.number && part < at.part));
  }

  /** Takes the edge over; whether it is further than the one before. */
  private move(edge: Edge, text: Text): boolean {
    const before = this.edge;
    const further = !before || edge.headMs > before.headMs;
    const changed = further || edge.at.number > before.at.number || (edge.ended && !before.ended);
    this.edge = edge;
    this.latest = { ...text, text: edge.text };
    if (!changed) return false;
    this.fresh = true;
    this.hurried = false;
    this.misses = 0;
    const lagMs = this.clock.now() - edge.headMs;
    const laterMs = lagMs - this.lagMs;
    // The origin or a clock may have changed its mind.
    if (laterMs < 0 || (this.moved && laterMs > edge.durationMs)) this.lagMs = lagMs;
    else if (edge.blocks && further) this.lagMs += laterMs / 8; // the answers that wait say when, those that poll must find out
    this.moved = before !== undefined;
    return true;
  }

  /** Our own poll found a segment: did anybody tell of the one before? */
  private foundIt(edge: Edge): void {
    const { headMs } = edge;
    const told = this.toldMs >= headMs;
    if (told || this.host.turn(turnOf(edge)).among < 2) this.untold = 0;
    else if (this.found) this.untold++;
    this.found = told ? undefined : { headMs, atMs: this.clock.now() };
  }

  private failed(error: Error): void {
    const now = this.clock.now();
    if (this.failures === 0) this.failingSinceMs = now;
    this.failures++;
    // A refused playlist, or one that is not there, is told at once; a network that hiccups is not.
    const telling = error instanceof ManifestError || (error instanceof HttpError && error.status >= 400);
    if (!telling && this.latest && now - this.failingSinceMs < PATIENCE_MS) return;
    for (const reader of this.readers.splice(0)) reader.reject(error);
  }

  private answer(which: (r: Reader) => boolean): void {
    if (!this.latest || !this.readers.some(which)) return;
    const text = this.take(this.latest);
    const due = this.readers.filter(which);
    this.readers = this.readers.filter((r) => !due.includes(r));
    for (const reader of due) reader.resolve(text);
  }

  private take(text: Text): Text {
    this.fresh = false;
    return text;
  }
}

/** What rotates duties and lots for what is awaited. */
function turnOf({ awaited }: Edge): number {
  return awaited.number + awaited.part;
}
