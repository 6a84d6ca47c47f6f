// The language between a viewer and the tracker, twin of the Go package
// tracker/announce, whose package comment is the specification: JSON messages
// over one WebSocket, every limit enforced. Nothing here does any I/O.

import { exceedsBytes } from "./bytes";

/** The WebSocket's subprotocol. A token is shown as a second one. */
export const SUBPROTOCOL = "slipstream";
/** The version of the protocol, carried in join. */
export const ANNOUNCE_VERSION = 1;
/** The largest message in bytes. */
export const MAX_MESSAGE = 16384;
export const MAX_DROPPED = 16;
export const MAX_RTTS = 16;
/** The longest round trip in milliseconds. */
export const MAX_RTT = 60_000;
export const MAX_DUTIES = 16;
export const MAX_CANDIDATES = 16;
export const MAX_CANDIDATE = 256;
export const MAX_TEXT = 500;
export const MAX_ICE_SERVERS = 4;

/** A viewer's name in its room: 16 lower-case hexadecimal digits, not all zero. */
export type PeerId = string;
export type Role = "viewer" | "seeder";
/** How the address translator maps (RFC 4787 4.1); absent, or any other code: unknown. */
export type Nat = "endpoint-independent" | "address-dependent" | (string & {});

export interface Join {
  type: "join";
  version: number;
  role: Role;
  renditions: string[];
  /** Passes nothing on. */
  noUpload: boolean;
  /** As measured before, bits per second, 0: unknown. */
  uplinkBps: number;
  nat?: Nat;
}

/** Why a neighbour was given up. Those from bad-leaf on are evidence against the neighbour itself. */
export type DropReason =
  | "unreachable"
  | "lost"
  | "full"
  | "stalled"
  | "bad-leaf"
  | "liar"
  | "intruder"
  | "greedy"
  | "protocol";

/**
 * What differs between two session descriptions. No value can hold a line
 * break, so whoever rebuilds a description may paste them in as they are.
 */
export interface Signal {
  kind: "offer" | "answer" | "candidate";
  ufrag: string;
  /** pwd, fingerprint and setup: offer and answer only. */
  pwd?: string;
  fingerprint?: string;
  setup?: "actpass" | "active" | "passive";
  candidates: string[];
}

/** How the viewer is doing. Totals count since playback began. */
export interface Report {
  type: "report";
  /** At least one neighbour is connected. */
  ready: boolean;
  /** Passes nothing on. */
  noUpload: boolean;
  neighbours: number;
  renditions: string[];
  /** Bits per second, 0: unknown. */
  uplinkBps: number;
  httpBytes: number;
  p2pBytes: number;
  uploadedBytes: number;
  stalls: number;
  stallMs: number;
  latencyMs: number;
  /** Leaves fetched from the CDN although a neighbour was connected and it was no duty. */
  rescues: number;
  /** Since the last report, not a total. */
  dropped: { id: PeerId; reason: string }[];
  /** Each when it is first known, and again when it has doubled or halved. */
  rtts?: Rtt[];
}

/** How long a round trip to a neighbour takes. */
export interface Rtt {
  id: PeerId;
  ms: number;
}

export interface Share {
  rendition: string;
  /** Bit i is stripe i. */
  stripes: number;
}

export interface Welcome {
  type: "welcome";
  id: PeerId;
  reportMs: number;
  viewers: number;
  /** In which a renew must come. */
  renewMs?: number;
  iceServers?: IceServer[];
  /** Only relayed candidates are of use. */
  relayOnly?: boolean;
}

/** The part of the browsers' RTCIceServer that travels. */
export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export type Message =
  | Join
  | { type: "renew"; token: string }
  | { type: "signal"; to: PeerId; signal: Signal }
  | { type: "signal"; from: PeerId; signal: Signal }
  | Report
  | { type: "leave" }
  | Welcome
  | { type: "neighbour"; id: PeerId; offer: boolean }
  | { type: "gone"; id: PeerId; close: boolean }
  | { type: "duty"; duties: Share[] }
  | { type: "cap"; uploadBps: number }
  | { type: "error"; code: string; message: string };

/** A message that breaks a rule; its message says which member does, and holds nothing of the input. Which rule, Go's twin says. */
export class AnnounceError extends Error {}

/** Reads one message of the tracker's. Throws an AnnounceError. */
export function decode(text: string): Message {
  let type = "";
  try {
    demand(!exceedsBytes(text, MAX_MESSAGE), "its length");
    const f = new Fields(JSON.parse(text) as Json);
    type = f.text("type");
    const read = readers[type];
    demand(read, "its type");
    return read!(f);
  } catch (error) {
    throw new AnnounceError(`the ${readers[type] ? `${type} ` : ""}message is malformed: ${(error as Error).message}`);
  }
}

/** Writes a message. What we write is ours, so it is not checked again. */
export function encode(m: Message): string {
  return JSON.stringify(m);
}

type Json = { [name: string]: unknown };

const RENDITION = /^[a-z0-9_-]{1,32}$/;
const CODE = /^[a-z][a-z0-9-]{0,31}$/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const SERVER_TEXT = /^[A-Za-z0-9+/=.:?[\]_-]{0,256}$/;

function demand(condition: unknown, name: string): void {
  if (!condition) throw new Error(`${name} breaks a rule`);
}

/** The members of one JSON object. The getters throw the first thing that is wrong. */
class Fields {
  constructor(private readonly raw: Json) {
    demand(typeof raw === "object" && raw !== null && !Array.isArray(raw), "what is no object");
  }

  has(name: string): boolean {
    return Object.hasOwn(this.raw, name);
  }

  private get(name: string, good: (v: unknown) => boolean): unknown {
    demand(this.has(name) && good(this.raw[name]), name);
    return this.raw[name];
  }

  text(name: string, form = /(?:)/): string {
    return this.get(name, (v) => typeof v === "string" && form.test(v)) as string;
  }

  optionalText(name: string, form?: RegExp): string {
    return this.has(name) ? this.text(name, form) : "";
  }

  flag(name: string): boolean {
    return this.get(name, (v) => typeof v === "boolean") as boolean;
  }

  integer(name: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const v = this.get(name, (v) => Number.isSafeInteger(v) && (v as number) >= min && (v as number) <= max);
    return (v as number) + 0; // -0 becomes 0
  }

  optionalFlag(name: string): boolean {
    return this.has(name) && this.flag(name);
  }

  id(name: string): PeerId {
    return this.text(name, /^(?!0+$)[0-9a-f]{16}$/);
  }

  list(name: string, most: number): unknown[] {
    return this.get(name, (v) => Array.isArray(v) && v.length <= most) as unknown[];
  }

  texts(name: string, most: number, good: (s: string) => boolean): string[] {
    const v = this.has(name) ? this.list(name, most) : [];
    demand(v.every((s) => typeof s === "string" && good(s)), name);
    return v as string[];
  }

  object(name: string): Fields {
    return new Fields(this.get(name, () => true) as Json);
  }

  objects(name: string, most: number): Fields[] {
    return this.list(name, most).map((o) => new Fields(o as Json));
  }
}

const readers: { [type: string]: ((f: Fields) => Message) | undefined } = {
  __proto__: null as never,
  signal(f) {
    demand(!f.has("to"), "to");
    return { type: "signal", from: f.id("from"), signal: readSignal(f.object("signal")) };
  },
  welcome: (f) => ({
    type: "welcome",
    id: f.id("id"),
    reportMs: f.integer("reportMs", 500, 600_000),
    viewers: f.integer("viewers"),
    renewMs: (f.has("renewMs") && f.integer("renewMs")) || undefined,
    iceServers: f.has("iceServers") ? f.objects("iceServers", MAX_ICE_SERVERS).map(readServer) : undefined,
    relayOnly: f.optionalFlag("relayOnly") || undefined,
  }),
  neighbour: (f) => ({ type: "neighbour", id: f.id("id"), offer: f.flag("offer") }),
  gone: (f) => ({ type: "gone", id: f.id("id"), close: f.optionalFlag("close") }),
  duty(f) {
    const duties = f.objects("duties", MAX_DUTIES).map((d) => ({
      rendition: d.text("rendition", RENDITION),
      stripes: d.integer("stripes", 1, 0xffff),
    }));
    demand(new Set(duties.map((d) => d.rendition)).size === duties.length, "duties");
    return { type: "duty", duties };
  },
  cap: (f) => ({ type: "cap", uploadBps: f.integer("uploadBps", 0, 1e12) }),
  error(f) {
    const message = f.text("message");
    demand(message && !exceedsBytes(message, MAX_TEXT) && !CONTROL.test(message), "message");
    return { type: "error", code: f.text("code", CODE), message };
  },
};

function readServer(f: Fields): IceServer {
  const urls = f.texts("urls", MAX_ICE_SERVERS, (u) => /^(stun|turn):/.test(u) && SERVER_TEXT.test(u));
  demand(urls.length, "urls");
  return {
    urls,
    username: f.optionalText("username", SERVER_TEXT) || undefined,
    credential: f.optionalText("credential", SERVER_TEXT) || undefined,
  };
}

const UFRAG = /^[A-Za-z0-9+/]{4,64}$/;
const PWD = /^[A-Za-z0-9+/]{22,128}$/;
const FINGERPRINT = /^sha-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/;
/** The alphabet of its fields is that of Go's twin. */
const CANDIDATE =
  /^candidate:[A-Za-z0-9+/]{1,32} (\d{1,10}) (?:[Uu][Dd]|[Tt][Cc])[Pp] (\d{1,10}) [\w.:+/-]+ (\d{1,10}) typ (?:host|srflx|prflx|relay)(?: [\w.:+/-]+)*$/;

function readSignal(f: Fields): Signal {
  const kind = f.text("kind", /^(offer|answer|candidate)$/) as Signal["kind"];
  const ufrag = f.text("ufrag", UFRAG);
  const candidates = f.texts("candidates", MAX_CANDIDATES, isCandidate);
  if (kind === "candidate") {
    demand(!f.optionalText("pwd") && !f.optionalText("fingerprint") && !f.optionalText("setup"), "pwd, fingerprint or setup");
    demand(candidates.length, "candidates");
    return { kind, ufrag, candidates };
  }
  const setup = f.text("setup", kind === "offer" ? /^(actpass|active|passive)$/ : /^(active|passive)$/) as Signal["setup"];
  return { kind, ufrag, pwd: f.text("pwd", PWD), fingerprint: f.text("fingerprint", FINGERPRINT), setup, candidates };
}

/** Whether text is a candidate that may travel in a signal; our own are held to it before they are sent. */
export function isCandidate(text: string): boolean {
  const m = text.length <= MAX_CANDIDATE && CANDIDATE.exec(text);
  if (!m) return false;
  const [component, priority, port] = m.slice(1).map(Number);
  return component >= 1 && component <= 256 && priority <= 0xffffffff && port <= 0xffff;
}
