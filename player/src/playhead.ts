// Where the viewer is and what the viewer goes through: the playhead in epoch
// time, stalls, startup, latency. Media time is epoch time, because the origin
// stamps segments by UTC.

import type Hls from "hls.js";
import type { Entry } from "./objects";
import { SYNC_SEGMENTS, type View } from "./view";

/** A playhead this close to the end of a segment has shown it: decoders stop a frame or two early. */
const ROUNDING_MS = 150;
const KEEP_DISTANCE_EVERY_MS = 100;
const MIN_STALL_MS = 100;
/** Browsers round a seek to the very beginning of what is buffered to before it. */
const SEEK_PADDING_S = 0.05;

export type PlayState = "starting" | "playing" | "paused" | "stalled" | "off-air" | "error";

/**
 * Counts the times when the picture stood although it should have moved, for at
 * least MIN_STALL_MS: a few frames nobody sees, and browsers say "waiting" for
 * them too. Times are of performance.now().
 */
export class StallMeter {
  private count = 0;
  private doneMs = 0;
  private sinceMs: number | undefined;

  /** The picture stands for want of data. */
  waiting(nowMs: number): void {
    this.sinceMs ??= nowMs;
  }

  /** It moves again, or the viewer stopped it. */
  over(nowMs: number): void {
    if (this.stalled(nowMs)) {
      this.count++;
      this.doneMs += nowMs - this.sinceMs!;
    }
    this.sinceMs = undefined;
  }

  stalled(nowMs: number): boolean {
    return this.sinceMs !== undefined && nowMs - this.sinceMs >= MIN_STALL_MS;
  }

  stalls(nowMs: number): number {
    return this.count + (this.stalled(nowMs) ? 1 : 0);
  }

  stallMs(nowMs: number): number {
    return Math.round(this.doneMs + (this.stalled(nowMs) ? nowMs - this.sinceMs! : 0));
  }
}

/** What the playhead needs of the session. */
export interface Listing {
  /** A rendition's live window, oldest first. */
  window(rendition: string): readonly Entry[];
  /** Whether a rendition's playlist could be had and verified lately. */
  healthy(rendition: string): boolean;
  /** Whether it is a recording. */
  ended(rendition: string): boolean;
}

/** Where a held picture goes on, and when that is to be expected. Epoch ms. */
interface Resumption {
  positionMs: number;
  atMs: number;
}

/** Follows one video element that hls.js feeds. */
export class Playhead {
  startupMs = 0;
  private readonly meter = new StallMeter();
  private media: HTMLMediaElement | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private lastTime = 0;
  private standing = false; // "waiting" was said, and nothing moved since
  private seekedByViewer = false;
  private sinceMs = Date.now(); // it was begun, or the viewer sought
  private heldRate: number | undefined;

  constructor(
    private readonly hls: Hls,
    private readonly listing: () => Listing | undefined,
    private readonly renditionOf: (level: number) => string,
    /** The view may have changed, other than by going on. */
    private readonly changed: () => void = () => undefined,
    /** When the viewer began to wait. */
    private readonly beganMs = performance.now(),
  ) {}

  attach(media: HTMLMediaElement): void {
    this.detach();
    this.media = media;
    for (const type of EVENTS) media.addEventListener(type, this.handle);
    this.watch();
  }

  detach(): void {
    this.rest();
    for (const type of EVENTS) this.media?.removeEventListener(type, this.handle);
    this.release();
    this.media = undefined;
  }

  /** The rendition that the player loads now. */
  get rendition(): string {
    return this.renditionOf(this.hls.loadLevel);
  }

  get playing(): boolean {
    return this.media !== undefined && !this.media.paused && !this.media.ended;
  }

  /** The picture is held on purpose, see keepDistance. */
  get held(): boolean {
    return this.heldRate !== undefined;
  }

  get state(): PlayState {
    if (this.startupMs === 0) return this.media?.paused && this.media.readyState >= 2 ? "paused" : "starting";
    if (this.media?.paused) return "paused";
    if (this.held) return "off-air";
    return this.meter.stalled(performance.now()) ? "stalled" : "playing";
  }

  get stalls(): number {
    return this.meter.stalls(performance.now());
  }

  get stallMs(): number {
    return this.meter.stallMs(performance.now());
  }

  /** How far the picture is behind the wall clock, 0 before it moves and for a recording. */
  get latencyMs(): number {
    const position = this.startupMs > 0 && !this.recording ? this.positionMs() : undefined;
    return position === undefined ? 0 : Math.max(0, Math.round(Date.now() - position));
  }

  /** Epoch ms of the picture now shown, undefined before the first. */
  positionMs(): number | undefined {
    const media = this.media;
    const fragments = this.hls.latestLevelDetails?.fragments;
    if (!media || !fragments?.length || media.buffered.length === 0) return undefined;
    const time = media.currentTime;
    const at = fragments.find((f) => f && f.start + f.duration > time) ?? fragments[fragments.length - 1];
    const listed = this.window(this.renditionOf(at.level)).find((e) => e.number === at.sn);
    const startMs = listed?.startMs ?? at.programDateTime;
    return startMs ? startMs + (time - at.start) * 1000 : undefined;
  }

  /** What the session has to know: where playback is or will go on, and when. */
  view(): View {
    const nowMs = Date.now();
    const { rendition, startupMs, stalls, stallMs, latencyMs } = this;
    const next = this.held ? this.resumption(nowMs) : undefined;
    const started = startupMs > 0;
    return {
      rendition,
      started,
      startupMs,
      wanting: (!started || this.playing) && (!this.held || next !== undefined),
      idle: started && !this.playing,
      positionMs: this.held ? next?.positionMs : this.positionMs(),
      atMs: next?.atMs ?? nowMs,
      sinceMs: this.sinceMs,
      rate: (this.held ? this.heldRate : this.media?.playbackRate) || 1,
      stalls,
      stallMs,
      latencyMs,
    };
  }

  /** There is no live edge to keep a distance to. */
  get recording(): boolean {
    return this.listing()?.ended(this.rendition) ?? false;
  }

  private window(rendition: string): readonly Entry[] {
    return this.listing()?.window(rendition) ?? [];
  }

  // ── keeping a distance to the live edge ──────────────────────────────────
  //
  // hls.js jumps over a gap in the broadcast as soon as there is anything after
  // it, and would then play right at the edge: with next to nothing buffered, and
  // no time for neighbours to share. So the picture is held where the broadcast
  // stopped until as much is listed after the gap as a player starts with: who was
  // eight seconds behind stays eight seconds behind. The same goes for the
  // beginning of a broadcast.

  /** Looks often, until the picture moves. */
  private watch(): void {
    this.timer ??= setInterval(() => this.keepDistance(), KEEP_DISTANCE_EVERY_MS);
  }

  private rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private keepDistance(): void {
    const media = this.media;
    if (!media || media.paused) return;
    if (this.recording) return this.rest();
    if (this.startupMs > 0 && !this.standing && !this.held) return this.rest();
    const now = Date.now();
    const next = this.resumption(now);
    if (this.held) {
      if (next && next.atMs <= now) this.goOn();
    } else if ((this.standing && this.offAir()) || (this.atBeginning() && next && next.atMs > now)) {
      this.heldRate = media.playbackRate || 1;
      media.playbackRate = 0; // hls.js leaves it alone then
    }
  }

  /** Where a held picture goes on: with the first segment that was not shown; undefined until there is one. */
  private resumption(nowMs: number): Resumption | undefined {
    const position = this.positionMs() ?? 0;
    const window = this.window(this.rendition);
    const next = window.find((e) => !e.gap && e.startMs + e.durationMs > position + ROUNDING_MS);
    const last = window.at(-1);
    if (!next || !last) return undefined;
    const positionMs = Math.max(next.startMs, position);
    const listedMs = last.startMs + last.durationMs - positionMs;
    const wantedMs = (SYNC_SEGMENTS - 0.25) * last.durationMs;
    return { positionMs, atMs: nowMs + Math.max(0, wantedMs - listedMs) };
  }

  /** Playback is about to begin, and everything listed is still ahead: the broadcast has only just begun. */
  private atBeginning(): boolean {
    const window = this.window(this.rendition);
    return this.startupMs === 0 && window.length > 0 && window.filter((e) => !e.gap).length < SYNC_SEGMENTS;
  }

  /** Whether there is nothing to show at the playhead: the publisher paused, which is nobody's stall. */
  private offAir(): boolean {
    const position = this.positionMs();
    const window = this.window(this.rendition);
    const last = window.at(-1);
    if (position === undefined || !last || this.recording || !this.listing()!.healthy(this.rendition)) return false;
    const here = window.find((e) => e.startMs + e.durationMs > position + ROUNDING_MS);
    return here === undefined || here.gap || position < window[0].startMs;
  }

  /** Ends the hold at the next thing that can be shown. */
  private goOn(): void {
    const { buffered, currentTime } = this.media!;
    this.release();
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.end(i) <= currentTime + ROUNDING_MS / 1000) continue;
      if (buffered.start(i) > currentTime) this.media!.currentTime = buffered.start(i) + SEEK_PADDING_S;
      return;
    }
  }

  private release(): void {
    if (this.media && this.heldRate !== undefined) this.media.playbackRate = this.heldRate;
    this.heldRate = undefined;
    this.standing = false;
  }

  // ── what the viewer goes through ─────────────────────────────────────────

  private readonly handle = (event: Event): void => {
    const media = this.media!;
    const now = performance.now();
    switch (event.type) {
      case "playing":
        if (this.startupMs === 0 && !this.held) this.startupMs = Math.max(1, Math.round(now - this.beganMs));
        this.moves(now);
        break;
      case "timeupdate":
        if (media.currentTime !== this.lastTime && !media.seeking) this.moves(now);
        this.lastTime = media.currentTime;
        break;
      case "seeking":
        this.seekedByViewer = !this.standing; // hls.js seeks over holes while the picture stands
        if (!this.seekedByViewer) break;
        this.sinceMs = Date.now();
        this.release();
        break;
      case "seeked":
        this.seekedByViewer = false;
        break;
      case "waiting":
        if (this.startupMs === 0 || this.seekedByViewer || this.held || media.paused) break;
        this.standing = true;
        if (!this.offAir()) this.meter.waiting(now);
        this.watch();
        this.keepDistance();
        break;
      case "pause":
      case "ended":
      case "emptied":
        this.moves(now);
    }
    if (event.type !== "timeupdate") this.changed();
  };

  private moves(now: number): void {
    if (this.held) return;
    if (this.startupMs === 0 && this.lastTime > 0) this.startupMs = Math.max(1, Math.round(now - this.beganMs));
    this.standing = false;
    this.meter.over(now);
  }
}

const EVENTS = ["playing", "ratechange", "timeupdate", "seeking", "seeked", "waiting", "pause", "ended", "emptied"];
