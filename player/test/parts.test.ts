import { afterEach, describe, expect, test } from "vitest";
import type { Bytes } from "../src/bytes";
import { LEAF_SIZE } from "../src/manifest";
import { MediaHttp } from "../src/media-http";
import { Kind, newScheduler } from "../src/sched";
import { Session } from "../src/session";
import { Clock } from "../src/timing";
import { Room } from "./room";
import { BASE, SEGMENT_MS, TestCdn, TestChannel, until, type TestSegment } from "./fixture";

const SIZE = 2 * LEAF_SIZE + 100;

const running: Session[] = [];
afterEach(() => {
  for (const session of running.splice(0)) session.stop();
});

/** A channel in parts, of which two segments and a half are out. */
function channelInParts(): TestChannel {
  const channel = new TestChannel((Math.floor(Date.now() / SEGMENT_MS) - 3) * SEGMENT_MS);
  for (let i = 0; i < 10; i++) channel.publishPart(SIZE + i);
  return channel;
}

/** A viewer who needs everything in two seconds, and whose CDN holds what waits for something new until it is there. */
function viewer(channel: TestChannel, room?: Room, clock = new Clock()): { session: Session; cdn: TestCdn; held: () => number; wanted: number[] } {
  const cdn = new TestCdn(channel);
  cdn.mangle = async (path, body) => {
    const [, number, part] = /_HLS_msn=(\d+)&_HLS_part=(\d+)/.exec(path)?.map(Number) ?? [];
    if (number === undefined) return body;
    const next = () => channel.firstNumber + channel.segments.length;
    await until("the part that is waited for", () => number < next() || (number === next() && part < channel.open.length)).catch(() => undefined);
    return new TextEncoder().encode(channel.playlist()) as Bytes;
  };
  const scheduler = newScheduler({ swarm: room !== undefined, upload: true });
  const handle = scheduler.handle.bind(scheduler);
  let held = 0;
  const wanted: number[] = [];
  scheduler.handle = (now, heard) => {
    for (const e of heard) if (e.kind === Kind.ObjectWant) wanted.push(e.value);
    held += heard.filter((e) => e.kind === Kind.Verified).length;
    return handle(now, heard);
  };
  const session = new Session({
    channel: channel.channel,
    renditions: [{ name: "360p", url: `${BASE}360p/index.m3u8` }],
    http: new MediaHttp(cdn.fetch),
    scheduler,
    clock,
    audience: {
      deadlineMs: (now, entry) => Math.max(now, entry.startMs + 3 * SEGMENT_MS + 2000),
      renditions: () => ["360p"],
      experience: () => ({ started: false, stalls: 0, stallMs: 0, latencyMs: 0 }),
    },
    swarm: room?.enter(),
  });
  running.push(session);
  session.start();
  return { session, cdn, held: () => held, wanted };
}

function deliver(session: Session, uri: string): Promise<Bytes> {
  return new Promise((resolve, reject) => {
    session.deliver(`${BASE}360p/${uri}`, { done: (bytes) => resolve(new Uint8Array(bytes)), failed: reject });
  });
}

/** What a playlist for the player lists, in order. */
const addresses = (text: string) => [...text.matchAll(/360p\/(\d[\d.]*)\.m4s/g)].map((m) => m[1]);

describe("parts", () => {
  test("a player that waits for a part gets the playlist when it is there, not before, and its bytes", async () => {
    const channel = channelInParts();
    const { session } = viewer(channel);
    const first = await session.playlist("360p");
    const number = channel.firstNumber + 2;
    expect(addresses(first.text).slice(-2)).toEqual([`${number}.0`, `${number}.1`]);
    let answered = false;
    const waiting = session.playlist("360p", undefined, { number, part: 2 });
    void waiting.then(() => (answered = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(answered).toBe(false);
    const part = channel.publishPart(SIZE);
    expect(addresses((await waiting).text).at(-1)).toBe(`${number}.2`);
    expect(await deliver(session, part.uri)).toEqual(part.data);
  });

  test("the segment whose parts are there is made of them, and not fetched", async () => {
    const channel = channelInParts();
    const { session, cdn, held } = viewer(channel);
    await session.playlist("360p");
    const [, whole] = channel.segments;
    for (const p of whole.parts) expect(await deliver(session, p.uri)).toEqual(p.data);
    const leaves = whole.parts.reduce((n, p) => n + p.leaves.length, 0) + whole.leaves.length;
    await until("the segment is made", () => held() === leaves);
    expect(await deliver(session, whole.uri)).toEqual(whole.data);
    expect(cdn.served.filter((s) => s.url.includes(`/${whole.uri}`))).toEqual([]);
  });

  test("neighbours tell of parts and bring them: who hears of them does not ask for the playlist", async () => {
    const channel = channelInParts();
    const room = new Room();
    let [speed, fromMs, atMs] = [1, Date.now(), Date.now()];
    const now = () => atMs + (Date.now() - fromMs) * speed;
    const [a, b] = [0, 1].map(() => viewer(channel, room, new Clock(now, now)));
    for (const { session } of [a, b]) await session.playlist("360p");
    await deliver(a.session, channel.open[1].uri);
    await until("they are neighbours", () => [a, b].every(({ session }) => session.stats().peers === 1));
    room.duty(0, 0xffff);
    room.duty(1, 0);
    const number = channel.firstNumber + 2;
    await deliver(b.session, channel.open[1].uri);
    // Time passes at a tenth of its speed from now on, so that a busy machine is late for nothing; between parts it is moved on.
    [speed, fromMs, atMs] = [0.1, Date.now(), now()];
    const published: TestSegment[] = [];
    let before = 0; // from here on b knows how late parts come
    for (const [n, part] of [[number, 2], [number, 3], [number + 1, 0], [number + 1, 1]]) {
      const waits = [a, b].map(({ session }) => session.playlist("360p", undefined, { number: n, part }));
      await until("the one with the duty asks for the part", () => a.cdn.served.some((s) => s.url.endsWith(`_HLS_msn=${n}&_HLS_part=${part}`)));
      const publishedMs = now();
      const made = channel.publishPart(SIZE);
      await Promise.all(waits);
      if (part === 3) before = b.cdn.served.length;
      published.push(made);
      atMs += Math.max(0, publishedMs + 340 - now()); // half a second would be right, but asking for the next takes time, too
    }
    const told = b.cdn.served.slice(before).filter((s) => s.url.includes("index.m3u8")).map((s) => s.url);
    const { text } = await b.session.playlist("360p", undefined, { number: number + 1, part: 1 });
    expect(addresses(text).slice(-4)).toEqual([`${number}.3`, `${number}`, `${number + 1}.0`, `${number + 1}.1`]);
    [speed, fromMs, atMs] = [1, Date.now(), now()];
    for (const p of published) expect(await deliver(b.session, p.uri)).toEqual(p.data);
    expect(b.session.stats().p2pBytes).toBeGreaterThan(2 * SIZE);
    expect(told).toEqual([]);
  }, 30_000);

  test("what a player asks for before its picture moves is wanted at once, however far ahead it seems to be", async () => {
    const channel = channelInParts();
    const { session, wanted } = viewer(channel, new Room());
    await session.playlist("360p");
    const delivered = deliver(session, channel.open[1].uri);
    expect(await delivered).toEqual(channel.open[1].data);
    expect(Math.min(...wanted)).toBeLessThanOrEqual(Date.now());
  });

  test("parts that were changed are not told; whole segments are played", async () => {
    const channel = channelInParts();
    const { session, cdn } = viewer(channel);
    const other = new TestChannel(channel.startMs);
    other.publishPart(SIZE);
    const forged = channel.playlist().replace(/(SLIPSTREAM-PART:.{40}).{8}/, "$1AAAAAAAA");
    cdn.mangle = (path, body) => (path.includes("index.m3u8") ? (new TextEncoder().encode(forged) as Bytes) : body);
    const { text } = await session.playlist("360p");
    expect(text).not.toContain("EXT-X-PART");
    const [, whole] = channel.segments;
    expect(await deliver(session, whole.uri)).toEqual(whole.data);
  });
});
