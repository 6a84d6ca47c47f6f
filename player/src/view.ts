// What the session has to know of the player: where the picture is and what it plays,
// so that every segment has a deadline. The page tells it when it changes.

import type { Entry } from "./objects";

/** Nothing is fetched that is further ahead of the playhead than this: the player buffers about as much of a live stream. */
export const LOOK_AHEAD_MS = 30_000;
/** A segment is needed this long before it is shown: it has to be parsed and appended. */
const APPEND_MS = 200;
/** Where a live player starts: this many segments, or parts, behind the newest (the default of hls.js, and what retell.ts tells it). */
export const SYNC_SEGMENTS = 3;
/**
 * Who has only begun, or sought, has one segment in hand. A first picture that took long says that machine or line is busy, so what is shown
 * until so many segments, or parts, later is wanted that much earlier than it would be, but no more than one: then nobody sees that it is late.
 */
const BEGINNING_SEGMENTS = 5;
// A recording has no live edge: there is time to buffer, and far more of that for neighbours to bring it.
const RECORDING_LOOK_AHEAD_MS = 40_000;
const RECORDING_CUSHION_MS = 10_000;
/** How much of a recording hls.js buffers; more than the cushion, and less than the session looks ahead. */
export const RECORDING_BUFFER_S = 20;
/** A prediction of the playhead that is off by less is good enough. */
const TOLERANCE_MS = 50;

export interface View {
  /** The rendition that the player loads now, "" before the first. */
  rendition: string;
  /** There was a picture. */
  started: boolean;
  /** How long the first took, 0 before. */
  startupMs: number;
  /** Segments are needed: it starts or plays, and is not paused. */
  wanting: boolean;
  /** It has been paused, or has not begun to load. */
  idle: boolean;
  /** Media time (epoch ms) that is or will be shown at atMs; undefined before that is known. */
  positionMs: number | undefined;
  atMs: number;
  /** When playback was begun, or the viewer sought. */
  sinceMs: number;
  /** Media time per time. */
  rate: number;
  stalls: number;
  stallMs: number;
  latencyMs: number;
}

export const NO_VIEW: View = {
  rendition: "",
  started: false,
  startupMs: 0,
  wanting: true,
  idle: true,
  positionMs: undefined,
  atMs: 0,
  sinceMs: 0,
  rate: 1,
  stalls: 0,
  stallMs: 0,
  latencyMs: 0,
};

/** Where a player begins with a window: at the start of a recording, or of the segment that is some segments, or parts, behind the live edge. */
export function beginningMs(window: readonly Entry[], ended: boolean): number | undefined {
  const shown = window.filter((e) => !e.gap);
  const first = ended ? shown[0] : shown.at(-SYNC_SEGMENTS);
  return shown.find((e) => e.number === first?.number)?.startMs;
}

/** When (epoch ms) a segment is needed; 0: it is not. beginningMs is where the player begins, as long as it has not. */
export function deadlineMs(
  view: View,
  beginningMs: number | undefined,
  nowMs: number,
  { startMs, durationMs }: { startMs: number; durationMs: number },
  ended: boolean,
): number {
  if (!view.wanting) return 0;
  const positionMs = view.positionMs ?? beginningMs;
  const atMs = view.positionMs === undefined ? nowMs : view.atMs;
  if (positionMs === undefined) return 0;
  const shownMs = Math.max(positionMs, positionMs + (nowMs - atMs) * view.rate); // by now
  if (startMs + durationMs <= shownMs || startMs > shownMs + (ended ? RECORDING_LOOK_AHEAD_MS : LOOK_AHEAD_MS)) return 0;
  const dueMs = atMs + (startMs - positionMs) / view.rate; // to be shown
  const runMs = dueMs - view.sinceMs;
  const slowMs = runMs < BEGINNING_SEGMENTS * durationMs ? Math.min(view.startupMs || nowMs - view.sinceMs, durationMs) : 0;
  // The cushion is filled at twice the speed of playback: neighbours have a little time even after a seek.
  const earlyMs = Math.max(APPEND_MS, ended ? Math.min(runMs / 2, RECORDING_CUSHION_MS) : slowMs);
  return Math.max(nowMs, Math.trunc(dueMs - earlyMs));
}

/** Whether a session that knows the older view would do the same with the newer one. */
export function agrees(older: View, newer: View): boolean {
  const { rendition, started, wanting, idle, rate, stalls, stallMs } = newer;
  if (older.rendition !== rendition || older.started !== started || older.wanting !== wanting || older.idle !== idle) return false;
  if (older.sinceMs !== newer.sinceMs || older.rate !== rate || older.stalls !== stalls || older.stallMs !== stallMs) return false;
  if (older.positionMs === undefined || newer.positionMs === undefined) return older.positionMs === newer.positionMs;
  const predicted = older.positionMs + (newer.atMs - older.atMs) * rate;
  return Math.abs(predicted - newer.positionMs) < TOLERANCE_MS;
}
