// The scheduler's constants, the twin of config.go. peer/sched/DESIGN.md explains
// each value.

import { LEAF_SIZE } from "../wire";

export interface Config {
  seed: number; // unsigned 32 bits, per viewer: breaks ties differently in each
  marginMs: number;
  staggerMs: number;
  progressMs: number;
  busyBackoffMs: number;
  lonelyGraceMs: number;
  gainIntervalMs: number;
  pipelineMs: number;
  queueMs: number;
  maxFetches: number;
  uploadBytesPerSec: number; // cap; 0: none
  noUpload: boolean; // announce nothing, serve nothing (no consent, metered link)
}

export function defaultConfig(seed: number): Config {
  return {
    seed,
    marginMs: 500,
    staggerMs: 1500,
    progressMs: 1000,
    busyBackoffMs: 150,
    lonelyGraceMs: 2000,
    gainIntervalMs: 30,
    pipelineMs: 500,
    queueMs: 600,
    maxFetches: 4,
    uploadBytesPerSec: 0,
    noUpload: false,
  };
}

export const MIN_WINDOW = 2;
export const MAX_WINDOW = 16;
export const INITIAL_RATE = 256 * 1024;
export const MIN_RATE = 4 * 1024;
export const INITIAL_CDN_RATE = 512 * 1024;
export const INITIAL_CDN_WAIT = 100;
export const MAX_RATE = 100 * 1024 * 1024;
export const HEDGE_MS = 200;
export const CDN_SAMPLE_BYTES = 2 * LEAF_SIZE;
export const CDN_BACKOFF_MS = 250;
/** Up to 8 s for an object that the CDN does not have. */
export const OBJECT_BACKOFF_DOUBLINGS = 5;
export const CDN_BACKOFF_DOUBLINGS = 2;
export const CDN_WAIT_MAX_MS = 2000;
export const UPLINK_SAMPLE_MS = 250;
export const UPLINK_BUSY_BYTES = 2 * LEAF_SIZE;
export const STALE_UPLOAD_MS = 1500;
export const ASSUMED_UPLINK = 1280 * 1024;
export const BUFFER_UNKNOWN = 64 * 1024;
export const BUFFER_MIN = 3 * LEAF_SIZE; // above UPLINK_BUSY_BYTES, or the uplink is never measured
export const BUFFER_MS = 200;
export const MAX_QUEUE = 512;
export const MAX_QUEUED_EACH = 32;
export const STALL_STRIKES = 5;
export const LIE_STRIKES = 8;
export const INTRUDER_STRIKES = 64;
export const ASK_STRIKES = 512;
