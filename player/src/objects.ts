// What a session knows of a channel: its renditions, their live windows and the
// segments in them.

import type { SignedRecord, Verifier } from "./manifest";
import type { Feed } from "./feed";
import type { HttpError } from "./fetch";
import type { Transfer } from "./timing";
import type { Key } from "./wire";

/** A segment whose record is verified. Its bytes are in the store as far as they are there. */
export interface Carried {
  /** The scheduler's name for it. */
  id: number;
  key: Key;
  record: SignedRecord;
  rendition: Rendition;
  url: string;
  leaves: number;
  /** As last told to the scheduler; 0: not wanted. */
  deadlineMs: number;
  transfer: Transfer;
  /** Its leaf list is being fetched from the CDN. */
  list?: Promise<void>;
  /** Answers of the CDN in a row that were missing or wrong, and the last one's sentence. */
  failures: number;
  trouble?: DeliveryError;
  /** The store made room by forgetting its bytes: they are fetched again only for a player that asks. */
  evicted: boolean;
  /** It is being put together from its parts. */
  made?: boolean;
  /** Players that wait for its bytes. */
  waiting: Set<Delivery>;
}

/** Where a rendition is. */
export interface Offered {
  name: string;
  /** Of its playlist. */
  url: string;
  /** Of the playlist of hours, if one may go back. */
  dvr?: string;
}

/** One rendition of the channel. */
export interface Rendition extends Offered {
  /** The scheduler's name for it. */
  id: number;
  feed: Feed;
  verifier: Verifier;
  /** Segments that were there before are on the books only if somebody asks for them. */
  sinceMs?: number;
  /** Records of later segments than the next. */
  ahead: SignedRecord[];
  /** Parts take the place of the segments that they make up, as long as they are listed. */
  window: Listing[];
  /** Those segments. */
  split: Listing[];
}

/** One entry of a window. */
export interface Entry {
  number: number;
  /** Media time, epoch ms. */
  startMs: number;
  durationMs: number;
  /** There is no segment for this number. */
  gap: boolean;
}

/** What the session knows of it besides. */
export interface Listing extends Entry {
  /** Undefined for a gap. */
  segment?: { record: SignedRecord; url: string };
  /** Once it is worth keeping books about. */
  object?: Carried;
  /** Its parts are listed: it is made of them, and fetched for a player that asks. */
  split?: boolean;
}

/** What rotates the stripes: the number of a segment, of a part with its index. */
export function turnOf({ sequence, part }: SignedRecord): number {
  return sequence + part;
}

/** Who wants a segment's or init section's bytes. */
export interface Delivery {
  done(bytes: ArrayBuffer): void;
  failed(error: DeliveryError): void;
}

/** Why bytes cannot be had. status is that of HTTP, or 0. */
export class DeliveryError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** The bytes came, and were not what the channel's owner signed. */
    readonly unsigned = false,
  ) {
    super(message);
  }
}

/** What else went wrong on the way to bytes. */
export function deliveryError(error: unknown): DeliveryError {
  if (error instanceof DeliveryError) return error;
  const { status = 0, message } = error as Partial<HttpError> & Error;
  return new DeliveryError(status, message);
}

/** Said of bytes that came from the CDN and do not match the record. */
export const UNSIGNED = "The server sent bytes that the channel's owner did not sign.";
