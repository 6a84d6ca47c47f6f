// What the page and the core say to each other. The core (core.ts) is everything that
// works on bytes: session, swarm, verification. It runs in a worker, so that a page's
// main thread has next to nothing to do with the stream; the page keeps what only a
// page can do: the player, and connecting to neighbours.

import type { IceServer, Signal } from "./announce";
import type { Text } from "./fetch";
import type { Entry, Offered } from "./objects";
import type { Progress, SessionStats } from "./session";
import type { View } from "./view";

export interface CoreConfig {
  /** Its id as text. */
  channel: string;
  renditions: Offered[];
  /** Where several CDNs have them. */
  sources?: Sources;
  /** Address of ed25519.js, for browsers that have no Ed25519 of their own. */
  ed25519Url: string;
  /** Undefined: no peer-to-peer. */
  swarm?: { trackerUrl: string; tokenUrl: string; maxNeighbours: number; upload: boolean };
}

/** CDNs that have the same, by name, the preferred one first. */
export interface Sources {
  /** Address of cdns.js, for what it takes to go from one to the other. */
  cdnsUrl: string;
  cdns: string[];
  /** Of each playlist, its address at each CDN; everything goes by the first. "": it is not there. */
  urls: string[][];
  /** Those before this one have not answered. */
  from: number;
  /** Address of the steering manifest, "" if there is none. */
  steering: string;
}

/** What the core loads of cdns.ts. */
export interface CdnsModule {
  Cdns: new (sources: Sources, get: (url: string) => Promise<Text>) => Several;
}

/** What goes from one CDN to the other (cdns.ts). */
export interface Several {
  /** Where something would be asked for now. */
  address(url: string): string;
  /** Makes a request at one CDN after the other until it succeeds. */
  ask<T>(url: string, ask: (address: string, stallMs: number, from: number) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** The same for a playlist; or one request, if it waits for what is to come, which is nobody's fault; or another CDN than the first for a second opinion. */
  playlist(url: string, ask: (address: string, stallMs: number) => Promise<Text>, waits: boolean, second: boolean): Promise<Text>;
  /** Throws if a playlist is of another encoder than what is known. */
  check(text: Text, variant: number | undefined): void;
  /** Holds CDNs to a playlist that was accepted: it may be old, or have moved the head that the first CDN did not. */
  judge(text: Text, before: number, head: number): void;
  /** It sent what is not signed. */
  blame(from?: number): void;
  /** If it is time, asks a CDN that was ill for its playlist, and the operator for the order. */
  visit(nowMs: number, url: string, ask: (address: string, stallMs: number) => Promise<Text>, head: number, variant: number | undefined): Promise<void>;
}

/** An error on its way to the page. */
export interface Failure {
  status: number;
  message: string;
  unsigned: boolean;
}

/** A playlist on its way between the two, received at a time since the epoch: page and worker count performance.now() from different moments. */
export type Letter = Text;

export function letter(text: Text): Letter {
  return { ...text, receivedMs: text.receivedMs + performance.timeOrigin };
}

export function opened(letter: Letter): Text {
  return { ...letter, receivedMs: letter.receivedMs - performance.timeOrigin };
}

/** What a player waits for: a part of a segment, or without its index the whole. */
export interface Place {
  number: number;
  part?: number;
}

/** What the core did so far. */
export interface Account {
  stats: SessionStats;
  /** Why the latest playlist was refused, "" if it was not. */
  refused: string;
  /** Bytes per ms of the network; undefined before the first measurement. */
  rate: number | undefined;
}

export type ToCore =
  | { type: "open"; config: CoreConfig }
  /** fetched: what the CDN says of it, if the page asked while the core was starting; not verified. */
  | { type: "playlist"; id: number; rendition: string; fetched?: Letter; place?: Place }
  | { type: "deliver"; id: number; url: string }
  | { type: "cancel"; id: number }
  | { type: "view"; view: View }
  | { type: "channel"; line: number; channel: RTCDataChannel }
  | { type: "signalled"; line: number; signal: Signal }
  | { type: "measured"; line: number; roundTripMs: number }
  | { type: "ended"; line: number; reason: string }
  /** Of the certificate that all lines have; "" if each has its own. */
  | { type: "certified"; fingerprint: string }
  | { type: "stop" };

export type FromCore =
  /** channels: whether data channels can be given to it. */
  | { type: "ready"; channels: boolean }
  | { type: "playlist"; id: number; letter: Letter }
  | { type: "bytes"; id: number; bytes: ArrayBuffer; progress: Progress }
  | { type: "progress"; id: number; progress: Progress }
  | { type: "failed"; id: number; failure: Failure }
  | { type: "window"; rendition: string; entries: Entry[]; healthy: boolean; ended: boolean }
  | { type: "account"; account: Account }
  | { type: "certify" }
  | { type: "ice"; servers: IceServer[]; relayOnly: boolean }
  | { type: "connect"; line: number; makesOffer: boolean }
  | { type: "signal"; line: number; signal: Signal }
  | { type: "close"; line: number };

/** The core's end: a worker's global scope, or a stand-in. */
export interface CoreScope {
  postMessage(message: FromCore, transfer?: Transferable[]): void;
  onmessage: ((event: { data: ToCore }) => void) | null;
}
