// A channel made for tests: keys, signed segments, playlists, and a CDN that
// serves them without a network.

import * as ed from "@noble/ed25519";
import { sha256 } from "@noble/hashes/sha2.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { concat, toBase64Url, type Bytes } from "../src/bytes";
import type { FetchFunction } from "../src/fetch";
import {
  channelId,
  encodeBody,
  encodeDelegationBody,
  formatHash,
  keyId,
  LEAF_SIZE,
  parseRecord,
  recordHash,
  signedBytes,
  signedDelegationBytes,
  treeRoot,
  type SignedRecord,
} from "../src/manifest";

ed.hashes.sha512 = sha512;

export const BASE = "https://cdn.test/live/demo/";
export const SEGMENT_MS = 2000;
export const PART_MS = 500;

function keyFrom(text: string): { secret: Uint8Array; public: Bytes } {
  const secret = sha256(new TextEncoder().encode(text));
  return { secret, public: ed.getPublicKey(secret) as Bytes };
}

/** Bytes that differ from segment to segment and from leaf to leaf. */
export function pattern(size: number, seed = 0): Bytes {
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + 13 + seed * 31 + Math.floor(i / 251)) & 255);
}

function hashesOf(data: Bytes): Bytes[] {
  const count = Math.ceil(data.length / LEAF_SIZE);
  return Array.from({ length: count }, (_, i) => sha256(data.subarray(i * LEAF_SIZE, (i + 1) * LEAF_SIZE)) as Bytes);
}

export interface TestSegment {
  record: SignedRecord;
  data: Bytes;
  leaves: Bytes[];
  uri: string;
  /** What it was published in. */
  parts: TestSegment[];
}

export class TestChannel {
  readonly root = keyFrom("root");
  readonly signing = keyFrom("signing");
  readonly channel = channelId(this.root.public);
  readonly id = formatHash(this.channel);
  readonly init: TestSegment;
  readonly segments: TestSegment[] = [];
  /** The parts of the segment that is not complete yet. */
  open: TestSegment[] = [];

  constructor(
    /** When the first segment starts, epoch ms. */
    readonly startMs: number,
    readonly rendition = "360p",
  ) {
    this.init = this.make(0, pattern(700), "init.mp4");
  }

  get firstNumber(): number {
    return Math.floor(this.startMs / SEGMENT_MS);
  }

  /** Publishes the next segment. */
  publish(size: number): TestSegment {
    const number = this.firstNumber + this.segments.length;
    const segment = this.make(1, pattern(size, number % 1000), `${number}.m4s`, number);
    this.segments.push(segment);
    return segment;
  }

  /** Publishes the next part of the next segment; the fourth makes it complete. */
  publishPart(size: number): TestSegment {
    const number = this.firstNumber + this.segments.length;
    const index = this.open.length;
    const part = this.make(2, pattern(size, (number * 4 + index) % 1000), `${number}.${index}.m4s`, number, index);
    this.open.push(part);
    if ((index + 1) * PART_MS === SEGMENT_MS) {
      const whole = this.make(1, concat(...this.open.map((p) => p.data)), `${number}.m4s`, number);
      this.segments.push({ ...whole, parts: this.open });
      this.open = [];
    }
    return part;
  }

  private make(kind: number, data: Bytes, uri: string, number = this.firstNumber, part = 0): TestSegment {
    const leaves = hashesOf(data);
    const zero = new Uint8Array(32);
    const last = this.segments?.at(-1);
    const startMs = number * SEGMENT_MS + part * PART_MS;
    const durationMs = [0, SEGMENT_MS, PART_MS][kind];
    const body = encodeBody({
      kind,
      session: this.startMs,
      variant: 0,
      rendition: this.rendition,
      sequence: number,
      part,
      startMs,
      durationMs,
      size: data.length,
      root: treeRoot(leaves),
      init: kind === 0 ? zero : this.init.record.root,
      previous: kind === 0 || !last ? zero : recordHash(last.record),
      createdMs: startMs + durationMs,
      key: keyId(this.signing.public),
    });
    const signature = ed.sign(signedBytes(this.channel, body), this.signing.secret);
    return { record: parseRecord(concat(body, signature)), data, leaves, uri, parts: [] };
  }

  delegation(): string {
    const body = encodeDelegationBody({
      rootKey: this.root.public,
      signingKey: this.signing.public,
      region: "",
      firstSequence: 0,
      lastSequence: 2 ** 50,
      notBeforeMs: this.startMs - 3_600_000,
      notAfterMs: this.startMs + 3_600_000,
    });
    return toBase64Url(concat(body, ed.sign(signedDelegationBytes(this.channel, body), this.root.secret)));
  }

  multivariant(tracker = false): string {
    const data = (id: string, value: string) => `#EXT-X-SESSION-DATA:DATA-ID="slipstream.${id}",VALUE="${value}"`;
    return [
      "#EXTM3U",
      data("channel", this.id),
      ...(tracker ? [data("tracker", "/tracker"), data("token", "/live/demo/token")] : []),
      `#EXT-X-STREAM-INF:BANDWIDTH=900000,NAME="${this.rendition}"`,
      `${this.rendition}/index.m3u8`,
      "",
    ].join("\n");
  }

  playlist(window = 10, listed = this.segments.slice(-window)): string {
    const first = listed[0]?.record.sequence ?? 0;
    const parts = (of: TestSegment[]) =>
      of.flatMap((p) => [
        `#EXT-X-SLIPSTREAM-PART:${toBase64Url(p.record.encoded)}`,
        `#EXT-X-PART:DURATION=0.5,URI="${p.uri}"`,
      ]);
    const inParts = [...listed.slice(-3).flatMap((s) => s.parts), ...this.open].length > 0;
    return [
      "#EXTM3U",
      ...(inParts ? ["#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5", "#EXT-X-PART-INF:PART-TARGET=0.5"] : []),
      "#EXT-X-TARGETDURATION:2",
      `#EXT-X-MEDIA-SEQUENCE:${first}`,
      `#EXT-X-SLIPSTREAM-DELEGATION:${this.delegation()}`,
      `#EXT-X-SLIPSTREAM-INIT:${toBase64Url(this.init.record.encoded)}`,
      `#EXT-X-MAP:URI="${this.init.uri}"`,
      ...listed.flatMap((s, i) => [
        `#EXT-X-SLIPSTREAM-RECORD:${toBase64Url(s.record.encoded)}`,
        `#EXT-X-PROGRAM-DATE-TIME:${new Date(s.record.startMs).toISOString()}`,
        ...(i < listed.length - 3 ? [] : parts(s.parts)),
        "#EXTINF:2.000,",
        s.uri,
      ]),
      ...parts(this.open),
      "",
    ].join("\n");
  }
}

export interface Served {
  url: string;
  range: string;
  cache: string;
}

/** A CDN for one channel. mangle may change, delay or refuse any answer. */
export class TestCdn {
  readonly served: Served[] = [];
  mangle: (path: string, body: Bytes, init: RequestInit) => Bytes | Response | Promise<Bytes | Response> = (_, b) => b;

  constructor(readonly channel: TestChannel) {}

  readonly fetch: FetchFunction = async (url, init) => {
    const range = new Headers(init.headers).get("range") ?? "";
    this.served.push({ url, range, cache: init.cache ?? "" });
    await Promise.resolve();
    if (init.signal?.aborted) throw init.signal.reason;
    const path = url.replace(BASE, "");
    const body = this.body(path);
    if (!body) return respond(new Uint8Array(0), 404);
    const answer = await this.mangle(path, body, init);
    if (answer instanceof Response) return answer;
    const m = /^bytes=(\d+)-(\d+)$/.exec(range);
    return m ? respond(answer.subarray(Number(m[1]), Number(m[2]) + 1), 206) : respond(answer, 200);
  };

  /** How often a path was asked for. */
  count(path: string): number {
    return this.served.filter((s) => s.url === BASE + path).length;
  }

  private body(address: string): Bytes | undefined {
    const path = address.split("?")[0];
    const text = (s: string) => new TextEncoder().encode(s) as Bytes;
    if (path === "index.m3u8") return text(this.channel.multivariant());
    if (path === `${this.channel.rendition}/index.m3u8`) return text(this.channel.playlist());
    const { init, segments, open } = this.channel;
    const object = [init, ...segments.flatMap((s) => [s, ...s.parts]), ...open].find((s) =>
      path.startsWith(`${this.channel.rendition}/${s.uri}`),
    );
    return path.endsWith(".leaves") ? object && concat(...object.leaves) : object?.data;
  }
}

/** An answer that comes in chunks, as answers do. */
export function respond(body: Bytes, status: number, chunk = 5000): Response {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= body.length) return controller.close();
      controller.enqueue(body.slice(at, at + chunk));
      at += chunk;
    },
  });
  return new Response(stream, { status });
}

/** Waits until a condition holds; fails with what was waited for. */
export async function until(what: string, condition: () => boolean, limitMs = 20_000): Promise<void> {
  const end = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
