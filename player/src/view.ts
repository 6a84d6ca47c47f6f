// What the session has to know of the player: where the picture is and what it plays,
// so that every segment has a deadline. The page tells it when it changes.

import type { Entry } from "./objects";

/** Nothing is fetched that is further ahead of the playhead than the player buffers. */
const LOOK_AHEAD_MS = 30_000;
/** A segment is needed this long before it is shown: it has to be parsed and appended. */
const APPEND_MS = 200;
/** Where a live player starts: this many segments behind the newest (hls.js liveSyncDurationCount). */
export const SYNC_SEGMENTS = 3;
/** A prediction of the playhead that is off by less is good enough. */
const TOLERANCE_MS = 50;

export interface View {
  /** The rendition that the player loads now, "" before the first. */
  rendition: string;
  /** Segments are needed: it starts or plays, and is not paused. */
  wanting: boolean;
  /** It has been paused, or has not begun to load. */
  idle: boolean;
  /** Media time (epoch ms) that is or will be shown at atMs; undefined before that is known. */
  positionMs: number | undefined;
  atMs: number;
  /** Media time per time. */
  rate: number;
  stalls: number;
  stallMs: number;
  latencyMs: number;
}

export const NO_VIEW: View = {
  rendition: "",
  wanting: true,
  idle: true,
  positionMs: undefined,
  atMs: 0,
  rate: 1,
  stalls: 0,
  stallMs: 0,
  latencyMs: 0,
};

/** When (epoch ms) a segment is needed; 0: it is not. window is that of its rendition. */
export function deadlineMs(
  view: View,
  window: readonly Entry[],
  nowMs: number,
  segment: { startMs: number; durationMs: number },
): number {
  if (!view.wanting) return 0;
  const { startMs, durationMs } = segment;
  const positionMs = view.positionMs ?? window.filter((e) => !e.gap).at(-SYNC_SEGMENTS)?.startMs;
  const atMs = view.positionMs === undefined ? nowMs : view.atMs;
  if (positionMs === undefined) return 0;
  const shownMs = Math.max(positionMs, positionMs + (nowMs - atMs) * view.rate); // by now
  if (startMs + durationMs <= shownMs || startMs > shownMs + LOOK_AHEAD_MS) return 0;
  return Math.max(nowMs, Math.trunc(atMs + (startMs - positionMs) / view.rate - APPEND_MS));
}

/** Whether a session that knows the older view would do the same with the newer one. */
export function agrees(older: View, newer: View): boolean {
  const { rendition, wanting, idle, rate, stalls, stallMs } = newer;
  if (older.rendition !== rendition || older.wanting !== wanting || older.idle !== idle) return false;
  if (older.rate !== rate || older.stalls !== stalls || older.stallMs !== stallMs) return false;
  if (older.positionMs === undefined || newer.positionMs === undefined) return older.positionMs === newer.positionMs;
  const predicted = older.positionMs + (newer.atMs - older.atMs) * rate;
  return Math.abs(predicted - newer.positionMs) < TOLERANCE_MS;
}
