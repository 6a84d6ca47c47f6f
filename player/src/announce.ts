// The language between a viewer and the tracker, twin of the Go package
// tracker/announce, whose package comment is the specification: JSON messages
// over one WebSocket, every limit enforced. Nothing here does any I/O.

import { exceedsBytes } from "./bytes";

/** The version of the protocol, carried in join. */
export const ANNOUNCE_VERSION = 1;
/** The largest message in bytes. */
export const MAX_MESSAGE = 16384;
export const MAX_DROPPED = 16;
export const MAX_DUTIES = 16;
export const MAX_CANDIDATES = 16;
export const MAX_CANDIDATE = 256;
export const MAX_TEXT = 500;

/** A viewer's name in its room: 16 lower-case hexadecimal digits, not all zero. */
export type PeerId = string;
export type Role = "viewer" | "seeder";
/** How the address translator maps (RFC 4787 4.1); absent, or any other code: unknown. */
export type Nat = "endpoint-independent" | "address-dependent" | (string & {});

export interface Join {
  type: "join";
  version: number;
  token: string;
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
}

export interface Share {
  rendition: string;
  /** Bit i is stripe i. */
  stripes: number;
}

export type Message =
  | Join
  | { type: "signal"; to: PeerId; signal: Signal }
  | { type: "signal"; from: PeerId; signal: Signal }
  | Report
  | { type: "leave" }
  | { type: "welcome"; id: PeerId; reportMs: number; viewers: number }
  | { type: "neighbour"; id: PeerId; offer: boolean }
  | { type: "gone"; id: PeerId; close: boolean }
  | { type: "duty"; duties: Share[] }
  | { type: "error"; code: string; message: string };

/** A message that breaks a rule; its message is a sentence that holds nothing of the input. */
export class AnnounceError extends Error {
  override name = "AnnounceError";
}

/** Reads one message of the tracker's. Throws an AnnounceError. */
export function decode(text: string): Message {
  if (exceedsBytes(text, MAX_MESSAGE)) throw new AnnounceError(`the message is longer than ${MAX_MESSAGE} bytes`);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    raw = undefined;
  }
  if (!isObject(raw)) throw new AnnounceError("the message is not a JSON object");
  const f = new Fields(raw);
  let type: string;
  try {
    type = f.text("type");
  } catch (error) {
    throw new AnnounceError(`the message has no type: ${(error as Error).message}`);
  }
  const read = readers[type];
  if (!read) throw new AnnounceError("the message has an unknown type");
  try {
    return read(f);
  } catch (error) {
    throw new AnnounceError(`the ${type} message is malformed: ${(error as Error).message}`);
  }
}

/** Writes a message. What we write is ours, so it is not checked again. */
export function encode(m: Message): string {
  return JSON.stringify(m);
}

type Json = { [name: string]: unknown };

function isObject(v: unknown): v is Json {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}

const INTEGER = "an integer from 0 to 2^53 − 1";
const RENDITION = /^[a-z0-9_-]{1,32}$/;
const CODE = /^[a-z][a-z0-9-]{0,31}$/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

function demand(condition: boolean, otherwise: string): void {
  if (!condition) throw new AnnounceError(otherwise);
}

/** The members of one JSON object. The getters throw the first thing that is wrong. */
class Fields {
  constructor(private readonly raw: Json) {}

  has(name: string): boolean {
    return Object.hasOwn(this.raw, name);
  }

  private get(name: string): unknown {
    demand(this.has(name), `${name} is missing`);
    return this.raw[name];
  }

  text(name: string): string {
    const v = this.get(name);
    demand(typeof v === "string", `${name} is not a string`);
    return v as string;
  }

  optionalText(name: string): string {
    return this.has(name) ? this.text(name) : "";
  }

  flag(name: string): boolean {
    const v = this.get(name);
    demand(typeof v === "boolean", `${name} is not true or false`);
    return v as boolean;
  }

  integer(name: string): number {
    const v = this.get(name);
    demand(Number.isSafeInteger(v) && (v as number) >= 0, `${name} is not ${INTEGER}`);
    return (v as number) + 0; // -0 becomes 0
  }

  optionalFlag(name: string): boolean {
    return this.has(name) && this.flag(name);
  }

  id(name: string): PeerId {
    const v = this.text(name);
    demand(/^[0-9a-f]{16}$/.test(v), `${name} is not 16 lower-case hexadecimal digits`);
    demand(!/^0+$/.test(v), `${name} is 0, which names nobody`);
    return v;
  }

  list(name: string, most: number): unknown[] {
    const v = this.get(name);
    demand(Array.isArray(v), `${name} is not a list`);
    demand((v as unknown[]).length <= most, `${name} has more than ${most} entries`);
    return v as unknown[];
  }

  texts(name: string, most: number): string[] {
    const v = this.has(name) ? this.list(name, most) : [];
    demand(v.every((s) => typeof s === "string"), `${name} holds something that is not a string`);
    return v as string[];
  }

  object(name: string): Fields {
    const v = this.get(name);
    demand(isObject(v), `${name} is not an object`);
    return new Fields(v as Json);
  }

  objects(name: string, most: number): Fields[] {
    const v = this.list(name, most);
    demand(v.every(isObject), `${name} holds something that is not an object`);
    return v.map((o) => new Fields(o as Json));
  }
}

function checkRendition(name: string): void {
  demand(RENDITION.test(name), "a rendition is not 1–32 characters of a–z 0–9 _ -");
}

function checkCode(name: string, code: string): string {
  demand(CODE.test(code), `${name} is not 1–32 characters of a–z 0–9 -, the first a letter`);
  return code;
}

const readers: { [type: string]: ((f: Fields) => Message) | undefined } = {
  __proto__: null as never,
  signal(f) {
    demand(!f.has("to"), "it is for somebody else");
    return { type: "signal", from: f.id("from"), signal: readSignal(f.object("signal")) };
  },
  welcome(f) {
    const m = { id: f.id("id"), reportMs: f.integer("reportMs"), viewers: f.integer("viewers") };
    demand(m.reportMs >= 500 && m.reportMs <= 600_000, "reportMs is not from 500 to 600000");
    return { type: "welcome", ...m };
  },
  neighbour: (f) => ({ type: "neighbour", id: f.id("id"), offer: f.flag("offer") }),
  gone: (f) => ({ type: "gone", id: f.id("id"), close: f.optionalFlag("close") }),
  duty(f) {
    const duties = f.objects("duties", MAX_DUTIES).map((d) => {
      const share = { rendition: d.text("rendition"), stripes: d.integer("stripes") };
      checkRendition(share.rendition);
      demand(share.stripes >= 1 && share.stripes <= 0xffff, "stripes is not from 1 to 65535");
      return share;
    });
    demand(new Set(duties.map((d) => d.rendition)).size === duties.length, "duties names a rendition twice");
    return { type: "duty", duties };
  },
  error(f) {
    const m = { code: checkCode("code", f.text("code")), message: f.text("message") };
    demand(
      m.message !== "" && !exceedsBytes(m.message, MAX_TEXT) && !CONTROL.test(m.message),
      `message is empty, longer than ${MAX_TEXT} bytes or has control characters`,
    );
    return { type: "error", ...m };
  },
};

const UFRAG = /^[A-Za-z0-9+/]{4,64}$/;
const PWD = /^[A-Za-z0-9+/]{22,128}$/;
const FINGERPRINT = /^sha-256 (?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/;
const CANDIDATE =
  /^candidate:[A-Za-z0-9+/]{1,32} ([0-9]{1,10}) (?:[Uu][Dd]|[Tt][Cc])[Pp] ([0-9]{1,10}) [^ ]+ ([0-9]{1,10}) typ (?:host|srflx|prflx|relay)(?: [^ ]+)*$/;
const CANDIDATE_ALPHABET = /^[A-Za-z0-9 .:+/_-]*$/;

function readSignal(f: Fields): Signal {
  const kind = f.text("kind") as Signal["kind"];
  const ufrag = f.text("ufrag");
  const pwd = f.optionalText("pwd");
  const fingerprint = f.optionalText("fingerprint");
  const setup = f.optionalText("setup") as Signal["setup"] | "";
  const candidates = f.texts("candidates", MAX_CANDIDATES);
  demand(UFRAG.test(ufrag), "ufrag is not 4–64 characters of A–Z a–z 0–9 + /");
  demand(candidates.every(isCandidate), "a candidate is not as RFC 8839 section 5.1 wants it, or too long");
  if (kind === "candidate") {
    demand(!pwd && !fingerprint && !setup, "a candidate signal has no pwd, fingerprint or setup");
    demand(candidates.length > 0, "candidates is empty");
    return { kind, ufrag, candidates };
  }
  demand(kind === "offer" || kind === "answer", `kind is not "offer", "answer" or "candidate"`);
  demand(PWD.test(pwd), "pwd is not 22–128 characters of A–Z a–z 0–9 + /");
  demand(FINGERPRINT.test(fingerprint), `fingerprint is not "sha-256 " and 32 upper-case hexadecimal pairs`);
  const fits = setup === "active" || setup === "passive" || (setup === "actpass" && kind === "offer");
  demand(fits, `setup does not fit an ${kind}`);
  return { kind, ufrag, pwd, fingerprint, setup: setup as Signal["setup"], candidates };
}

/** Whether text is a candidate that may travel in a signal; our own are held to it before they are sent. */
export function isCandidate(text: string): boolean {
  if (text.length > MAX_CANDIDATE || !text.startsWith("candidate:") || !CANDIDATE_ALPHABET.test(text.slice(10))) {
    return false;
  }
  const m = CANDIDATE.exec(text);
  if (!m) return false;
  const [component, priority, port] = m.slice(1).map(Number);
  return component >= 1 && component <= 256 && priority <= 0xffffffff && port <= 0xffff;
}
