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
  uploadBytesPerSec: number; // cap; 0: none. Until the first Cap
  noUpload: boolean; // announce nothing, serve nothing (no consent, metered link)
}

export function defaultConfig(seed: number): Config {
  return {
    seed,
    marginMs: 500,
    staggerMs: 1500,
    progressMs: 1000,
    busyBackoffMs: 400,
    lonelyGraceMs: 2000,
    gainIntervalMs: 30,
    pipelineMs: 500,
    queueMs: 300,
    maxFetches: 4,
    uploadBytesPerSec: 0,
    noUpload: false,
  };
}

export const MIN_WINDOW = 2; // leaves in flight to one neighbour
export const MAX_WINDOW = 16;
export const MANY_HOLDERS = 1 << 12; // more are not told apart
export const WAIT_SHARE = 4; // of the time there was the CDN's wait is counted as, at most
export const MARGIN_SHARE = 10; // of the time there was is margin, at most
export const STAGGER_SHARE = 3; // of the time to the hard deadline soft ones are spread over, at most
export const SATED_SHARE = 4; // of that, those who do their share already
export const STAND_BACK_SHARE = 3; // of the time to the hard deadline others are waited for
export const ALONE_MOST = 4; // in the end one object of 2⁴ is left to others
export const BACKOFF_SHARE = 8; // of the time left is waited after a refusal as busy
export const BACKOFF_LEAST_MS = 50; // and at least this
export const ADVANCE_MS = 150; // longer than usual, what was asked in advance may take
export const AMPLE_HALVES = 5; // a line that carries so many halves of what is played has room to spare
export const USUAL_WAIT_MS = 150; // the CDN's wait, of which nothing is to be had
export const MAX_PARKED = 3; // neighbours that wait for one piece that is on its way to us
export const LINE_LEAST = 8 * LEAF_SIZE; // may be owed to us on any line
export const INITIAL_LEAF_US = 62_500; // for a leaf from a new neighbour: 256 KiB/s
export const INITIAL_CDN_LEAF_US = 31_250; // 512 KiB/s
export const INITIAL_CDN_WAIT = 100; // ms to the first byte
export const MIN_LEAF_US = 156; // 100 MiB/s; above it measurements are noise
export const MAX_LEAF_US = 4_000_000; // 4 KiB/s; keeps estimates finite
export const MIN_RATE = 4 * 1024;
export const MAX_RATE = 100 * 1024 * 1024;
export const HEDGE_MS = 100; // a leaf this long past due is hedged
export const CDN_SAMPLE_BYTES = 8 * LEAF_SIZE; // smaller fetches tell the wait, larger ones the rate
export const CDN_BACKOFF_MS = 250;
export const OBJECT_BACKOFF_DOUBLINGS = 5; // up to 8 s for an object that the CDN does not have
export const CDN_BACKOFF_DOUBLINGS = 2; // at most 1 s: well below the time that a deadline leaves
export const CDN_WAIT_MAX_MS = 2000;
export const UPLINK_SAMPLE_MS = 250;
export const UPLINK_BUSY_BYTES = 2 * LEAF_SIZE;
export const CRAWL_BUSY_BYTES = LEAF_SIZE; // likewise, where that would be seconds
export const UPLINK_HOPE_MS = 10_000; // an estimate that lets us offer nothing rises an eighth in this time
export const STALE_UPLOAD_MS = 1500; // a request that waited this long was asked elsewhere
export const ASSUMED_UPLINK = 1280 * 1024;
export const HOPED_UPLINK = 512 * 1024; // before it has carried a leaf in time
export const UNTRIED_MS = 10000; // after so long an uplink that nobody asked is taken for a good one
export const START_MS = 4000; // so long we may be occupied with ourselves
export const TRIAL_PATIENCE = 3; // so often progressMs a leaf may take to show a slow uplink
export const TRIALS_SLOW = 2; // so many that took more than once that show one
export const TRIALS_LOST = 3; // so many of which nothing arrived, too
export const TRIAL_OBJECTS = 3; // the newest, of which who is to ask for a leaf hears at once
export const TRIAL_AGAIN_MS = 4000; // times 4 after a trial that failed, times 16 after two, and so on
export const TRIAL_DOUBLINGS = 8; // up to 17 minutes
export const BUFFER_UNKNOWN = 48 * 1024; // bytes in all send buffers while the uplink is not known
export const BUFFER_MS = 200; // send buffers hold about this long of uplink
export const MAX_QUEUE = 512; // uploads queued in all
export const GATHER_SHARE = 32; // of the time left is spent on gathering gains
export const GATHER_MAX_MS = 240;
export const EASY_MS = 2500; // with more slack than this the first gain waits, too,
export const EASE_SHARE = 4;
export const EASE_MAX_MS = 400;
export const SLACK_MAX_MS = 8000;
export const CALM_US = 1500; // ticks of an idle machine are later than this at times, but not on average
export const BUSY_FACTOR = 200; // ms that the first gain waits for each ms beyond,
export const BUSY_MAX_MS = 1000; // at most, and at most this share of the time that is left:
export const BUSY_SHARE = 4;
export const LATE_TICKS = 128; // the average is of about so many ticks
export const ASLEEP_MS = 1000; // later than this is not the processor's doing
export const BUSY_STRIKES = 3; // refusals as busy in a row, after which the wait doubles each time
export const BUSY_DOUBLINGS = 4; // up to 16 times
export const STALL_STRIKES = 5; // time-outs in a row
export const LIE_STRIKES = 8; // pieces announced, then not held
export const INTRUDER_STRIKES = 64; // leaves that nobody asked for
export const ASK_STRIKES = 512; // requests beyond what anybody may be owed
