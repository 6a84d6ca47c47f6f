// One rendition's media playlist, kept fresh while somebody plays it. The session
// polls rather than the player, for two reasons: a new segment is to be fetched
// as soon as it is listed, not when the player gets to it, and all viewers should
// hear of it at about the same moment, so that they can share it. The player's
// own requests are answered from here.

import type { Clock } from "./timing";
import { HttpError, type Text } from "./fetch";
import { ManifestError } from "./manifest";

// After a change we come back a little earlier than the next one is due, after
// none, and after the very first playlist, a little later: the phase settles just
// behind the origin's.
const POLL_EARLY_MS = 100;
const POLL_AGAIN_MS = 400;
const POLL_MAX_MS = 4000;
/** After so many polls without a change the broadcast is interrupted, and there is less of a hurry. */
const MISSES_IN_A_HURRY = 4;
// An early poll, because a neighbour has something unknown: no sooner than this after the last poll, and no more than
// this part of a segment before the next one is due.
const REFRESH_FLOOR_MS = 300;
const REFRESH_PART = 0.5;
/** A player that has not asked for this many target durations has gone. */
const ABANDONED_AFTER_TARGETS = 3;
/** A player waits for news for this many target durations; then it gets what it had. */
const WAIT_TARGETS = 1.5;
/** How long polls may fail before the player is told. */
const PATIENCE_MS = 8000;

/** What a poll brought. */
export interface Accepted {
  /** End of the newest segment, media time; the playlist changed if it grew. */
  headMs: number;
  targetDurationMs: number;
  ended: boolean;
  /** What of it the player may read. */
  text: string;
}

interface Reader {
  untilMs: number;
  /** Take whatever the next poll brings, even if nothing changed. */
  anything: boolean;
  resolve: (text: Text) => void;
  reject: (error: Error) => void;
}

export class Feed {
  private latest: Text | undefined;
  private fresh = false; // latest has not been given to the player yet
  private headMs = 0;
  private targetMs = 2000;
  private ended = false;
  private askedMs = -Infinity;
  private polledMs = -Infinity;
  private nextMs = 0;
  private dueMs = -Infinity; // when the next segment is expected
  private refreshed = false; // there was an early poll since the last segment
  private polling = false;
  private misses = 0;
  private failures = 0;
  private failingSinceMs = 0;
  private readers: Reader[] = [];

  constructor(
    private readonly clock: Clock,
    private readonly load: () => Promise<Text>,
    /** Verifies a playlist and takes it in; throws to refuse it. */
    private readonly accept: (text: Text) => Promise<Accepted>,
  ) {}

  /** Whether a player follows this rendition. */
  get active(): boolean {
    return this.readers.length > 0 || this.clock.now() - this.askedMs < ABANDONED_AFTER_TARGETS * this.targetMs;
  }

  /** Whether the newest poll succeeded. */
  get healthy(): boolean {
    return this.latest !== undefined && this.failures === 0;
  }

  /** For the player: the newest verified playlist, or the next one if it has that already. */
  read(): Promise<Text> {
    const now = this.clock.now();
    const wasActive = this.active;
    this.askedMs = now;
    if (this.latest && (this.ended || (this.fresh && wasActive))) return Promise.resolve(this.take(this.latest));
    return new Promise((resolve, reject) => {
      this.readers.push({ untilMs: now + WAIT_TARGETS * this.targetMs, anything: !wasActive, resolve, reject });
      if (!wasActive) this.nextMs = now;
      this.tick();
    });
  }

  /**
   * A neighbour holds something that we have not heard of: poll soon, if it may be our next segment. It need not be,
   * there are other renditions: once for each segment is enough.
   */
  refresh(): void {
    const early = this.clock.now() < this.dueMs - REFRESH_PART * this.targetMs;
    if (early || this.refreshed || this.polling || this.failures > 0) return;
    this.refreshed = true;
    this.nextMs = Math.min(this.nextMs, this.polledMs + REFRESH_FLOOR_MS);
  }

  /** To be called often. */
  tick(): void {
    const now = this.clock.now();
    if (this.latest && !this.failures) this.answer((r) => now >= r.untilMs);
    if (this.polling || this.ended || now < this.nextMs || !this.active) return;
    this.polling = true;
    this.polledMs = now;
    void this.poll().finally(() => (this.polling = false));
  }

  private async poll(): Promise<void> {
    try {
      const text = await this.load();
      const { headMs, targetDurationMs, ended, text: verified } = await this.accept(text);
      const first = !this.latest;
      const changed = headMs > this.headMs || first;
      const now = this.clock.now();
      this.failures = 0;
      this.headMs = Math.max(headMs, this.headMs);
      this.targetMs = targetDurationMs;
      this.ended = ended;
      this.latest = { ...text, text: verified };
      this.fresh ||= changed;
      if (changed && !first) this.dueMs = now + targetDurationMs - POLL_EARLY_MS;
      if (changed) this.refreshed = false;
      const early = now < this.dueMs; // or just changed
      if (changed) this.misses = 0;
      else if (!early) this.misses++;
      this.nextMs = early ? this.dueMs : now + this.againMs();
      this.answer((r) => changed || r.anything || now >= r.untilMs);
    } catch (error) {
      this.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  private againMs(): number {
    return Math.min(POLL_AGAIN_MS * 2 ** Math.max(0, this.misses - MISSES_IN_A_HURRY), this.targetMs);
  }

  private failed(error: Error): void {
    const now = this.clock.now();
    if (this.failures === 0) this.failingSinceMs = now;
    this.nextMs = now + Math.min(POLL_AGAIN_MS * 2 ** Math.min(this.failures, 4), POLL_MAX_MS);
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
