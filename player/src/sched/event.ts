// What happens to the scheduler and what it says is to be done; the twin of
// peer/sched/event.go, which explains each kind. Neighbours and objects are
// numbered by the session, and numbers are never used again.

/** The kinds of events. */
export enum Kind {
  Tick = 0,
  ObjectAdd = 1,
  ObjectWant = 2,
  ObjectRemove = 3,
  NeighbourAdd = 4,
  NeighbourRemove = 5,
  Have = 6,
  Gain = 7,
  Coming = 8,
  Lost = 9,
  Request = 10,
  Cancel = 11,
  Refuse = 12,
  Verified = 13,
  Rejected = 14,
  Unsolicited = 15,
  FetchDone = 16,
  FetchFailed = 17,
  Buffered = 18,
  Duty = 19,
  Cap = 20,
}

/** Stands for a neighbour in Verified: the leaf came over HTTP. */
export const CDN = -1;

/** One thing that happened. Which fields count depends on the kind; the others are 0. */
export interface Event {
  kind: number;
  neighbour: number;
  object: number;
  piece: number;
  /** Of a piece's leaves: bit i is its i-th. */
  mask: number;
  leaf: number;
  last: number;
  rendition: number;
  leaves: number;
  size: number;
  sequence: number;
  value: number;
  elapsedMs: number;
  /** Have: the pieces held, in BEP 3 order; not retained. */
  bits?: Uint8Array;
}

export function event(kind: number, fields: Partial<Event> = {}): Event {
  return {
    kind,
    neighbour: 0,
    object: 0,
    piece: 0,
    mask: 0,
    leaf: 0,
    last: 0,
    rendition: 0,
    leaves: 0,
    size: 0,
    sequence: 0,
    value: 0,
    elapsedMs: 0,
    ...fields,
  };
}

/** The kinds of actions. */
export enum Do {
  SendHave = 0,
  SendGain = 1,
  SendComing = 2,
  SendLost = 3,
  SendRequest = 4,
  SendCancel = 5,
  SendRefuse = 6,
  SendLeaf = 7,
  Fetch = 8,
  Drop = 9,
}

/** One thing to do. */
export interface Action {
  kind: number;
  neighbour: number;
  object: number;
  piece: number;
  mask: number;
  leaf: number;
  last: number;
  reason: number;
}

/** Why a neighbour was dropped. */
export enum Reason {
  BadLeaf = 1,
  Stalled = 2,
  Liar = 3,
  Intruder = 4,
  TooManyAsked = 5,
}

/** The interval at which the session sends a Tick. */
export const TICK_MS = 50;

/** What a session needs of a scheduler. */
export interface Scheduler {
  /** Tells what happened up to nowMs and returns what is to be done, in order. */
  handle(nowMs: number, events: readonly Event[]): readonly Action[];
  /** Whether a leaf from a neighbour was asked for and would still be of use. */
  expects(neighbour: number, object: number, leaf: number): boolean;
  /** Whether neighbours get anything from us: not without consent, nor over an uplink that carries no leaf in time. */
  passesOn(): boolean;
  /** Whether our uplink has carried a leaf in time; before, leaves are sent one by one. */
  proven(): boolean;
  /** Whether a duty would be of use: the uplink is proven, or was asked for nothing for a while. */
  useful(): boolean;
  /** The measured uplink in bytes per second, 0 while it was never saturated. */
  uplinkBytesPerSec(): number;
}
