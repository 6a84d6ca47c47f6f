import { afterEach, describe, expect, test } from "vitest";
import type { Bytes } from "../src/bytes";
import { leafListUrl } from "../src/cdn";
import { MediaHttp } from "../src/media-http";
import { LEAF_SIZE } from "../src/manifest";
import { Kind, newScheduler, type Event as Heard } from "../src/sched";
import { Session } from "../src/session";
import { Clock } from "../src/timing";
import { deadlineMs as viewDeadlineMs, NO_VIEW, type View } from "../src/view";
import { keyOf } from "../src/wire";
import { Room } from "./room";
import { BASE, respond, SEGMENT_MS, TestCdn, TestChannel, until } from "./fixture";

const SIZE = 5 * LEAF_SIZE + 100;
const PLAYLIST = `${BASE}360p/index.m3u8`;

const running: Session[] = [];
afterEach(() => {
  for (const session of running.splice(0)) session.stop();
});

/** A channel whose newest segment has just ended. */
function liveChannel(segments = 4): TestChannel {
  const channel = new TestChannel((Math.floor(Date.now() / SEGMENT_MS) - segments) * SEGMENT_MS);
  for (let i = 0; i < segments; i++) channel.publish(SIZE);
  return channel;
}

/** What a player gets, or why not. */
function deliver(session: Session, uri: string): Promise<ArrayBuffer | string> {
  return new Promise((resolve) => {
    session.deliver(`${BASE}360p/${uri}`, { done: resolve, failed: (error) => resolve(error.message) });
  });
}

function bytes(answer: ArrayBuffer | string): Bytes {
  if (typeof answer === "string") throw new Error(answer);
  return new Uint8Array(answer);
}

interface Viewer {
  session: Session;
  cdn: TestCdn;
  http: MediaHttp;
  /** What the scheduler was told. */
  events: Heard[];
  /** Whether the viewer sees a picture; from the start, unless a test says otherwise. */
  experience: { started: boolean; stalls: number; stallMs: number; latencyMs: number };
}

/** A viewer of a channel. With needInMs everything is wanted, and needed so long from now; without, what is asked for. */
function viewer(
  channel: TestChannel,
  swarm?: Room,
  needInMs = 0,
  storeBytes?: number,
  view?: View,
  clock = new Clock(),
): Viewer {
  const cdn = new TestCdn(channel);
  const deadlineMs = needInMs ? Date.now() + needInMs : 0;
  const http = new MediaHttp(cdn.fetch);
  const scheduler = newScheduler({ swarm: swarm !== undefined, upload: true });
  const handle = scheduler.handle.bind(scheduler);
  const events: Heard[] = [];
  scheduler.handle = (now, heard) => {
    events.push(...heard);
    return handle(now, heard);
  };
  const experience = { started: true, stalls: 0, stallMs: 0, latencyMs: 0 };
  const session: Session = new Session({
    channel: channel.channel,
    renditions: [{ name: "360p", url: PLAYLIST }],
    http,
    scheduler,
    storeBytes,
    clock,
    audience: {
      deadlineMs: (now, entry) =>
        view ? viewDeadlineMs(view, session.window("360p")[0]?.startMs, now, entry, true) : deadlineMs,
      renditions: () => ["360p"],
      experience: () => experience,
    },
    swarm: swarm?.enter(),
  });
  running.push(session);
  session.start();
  return { session, cdn, http, events, experience };
}

// ── tests ──────────────────────────────────────────────────────────────────

describe("a session without a swarm", () => {
  test("delivers exactly the publisher's bytes, and fetches nothing that nobody asked for", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel);
    await session.playlist("360p");
    await until("the init section", () => cdn.count("360p/init.mp4") === 1);
    const segment = channel.segments[2];
    expect(bytes(await deliver(session, segment.uri))).toEqual(segment.data);
    expect(bytes(await deliver(session, "init.mp4"))).toEqual(channel.init.data);
    expect(cdn.served.filter((s) => s.url.endsWith(".m4s")).map((s) => s.url)).toEqual([`${BASE}360p/${segment.uri}`]);
    expect(session.stats()).toMatchObject({ httpBytes: SIZE + 700, p2pBytes: 0, verifiedLeaves: 6, rejectedLeaves: 0 });
  });

  test("a changed segment is asked for again past the cache, and then never delivered", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel);
    await session.playlist("360p");
    cdn.mangle = (path, body) => {
      if (!path.endsWith(".m4s")) return body;
      const changed = body.slice();
      changed[40_000] ^= 1;
      return changed;
    };
    expect(await deliver(session, channel.segments[0].uri)).toBe(
      "The server sent bytes that the channel's owner did not sign.",
    );
    const requests = cdn.served.filter((s) => s.url.endsWith(".m4s"));
    expect(requests.map((s) => s.cache)).toEqual(["", "reload"]);
    expect(session.stats().verifiedLeaves).toBe(0);
    expect(session.stats().rejectedLeaves).toBe(2);
  });

  test("a cache that holds a changed segment is overcome", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel);
    await session.playlist("360p");
    cdn.mangle = (path, body, init) =>
      path.endsWith(".m4s") && init.cache !== "reload" ? body.map((b) => b ^ 1) : body;
    const segment = channel.segments[0];
    expect(bytes(await deliver(session, segment.uri))).toEqual(segment.data);
  });

  test("a changed init section is never delivered", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel);
    cdn.mangle = (path, body) => (path.endsWith("init.mp4") ? body.map((b) => b ^ 1) : body);
    await session.playlist("360p");
    expect(await deliver(session, "init.mp4")).toMatch(/^the init section of "360p": its bytes were changed/);
  });

  test("a segment that is gone is told after a second try, and the scheduler hears the status", async () => {
    const channel = liveChannel();
    const { session, cdn, events } = viewer(channel);
    await session.playlist("360p");
    cdn.mangle = (path, body) => (path.endsWith(".m4s") ? respond(new Uint8Array(0), 404) : body);
    expect(await deliver(session, channel.segments[0].uri)).toMatch(/answered 404/);
    expect(cdn.count(`360p/${channel.segments[0].uri}`)).toBe(2);
    expect(events.filter((e) => e.kind === Kind.FetchFailed).map((e) => e.value)).toEqual([404, 404]);
  });

  test("a segment that the store forgot is fetched again when the player seeks back", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel, undefined, 0, 2 * SIZE); // one segment, with its hashes
    await session.playlist("360p");
    const [first, second] = channel.segments;
    for (const segment of [first, second]) await deliver(session, segment.uri);
    expect(bytes(await deliver(session, first.uri))).toEqual(first.data);
    expect(cdn.count(`360p/${first.uri}`)).toBe(2);
  });

  test("the player reads nothing in a playlist that is not signed", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel);
    cdn.mangle = (path, body) => {
      const text = new TextDecoder().decode(body).replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="https://evil"\n#EXTINF');
      return path.endsWith(".m3u8") ? (new TextEncoder().encode(text) as Bytes) : body;
    };
    const { text } = await session.playlist("360p");
    expect(text).toContain(channel.segments[3].uri);
    expect(text).not.toMatch(/evil|SLIPSTREAM/);
  });

  test("nothing is delivered that no verified playlist lists", async () => {
    const channel = liveChannel();
    const { session } = viewer(channel);
    await session.playlist("360p");
    expect(await deliver(session, "123.m4s")).toMatch(/^No verified playlist lists this segment/);
  });

  test("a playlist with a changed record is refused with the sentence, and nothing of it is known", async () => {
    const channel = liveChannel();
    const { session, cdn } = viewer(channel);
    cdn.mangle = (path, body) => {
      if (!path.endsWith(".m3u8")) return body;
      const text = new TextDecoder().decode(body).replace(/(RECORD:.{100})(.)/, (_, a: string, b) => a + (b === "A" ? "B" : "A"));
      return new TextEncoder().encode(text) as Bytes;
    };
    await expect(session.playlist("360p")).rejects.toThrow(/the signature of its record does not match/);
    expect(session.refused).toMatch(/the signature of its record does not match/);
    expect(session.window("360p")).toEqual([]);
    expect(await deliver(session, channel.segments[0].uri)).toMatch(/^No verified playlist/);
  });
});

describe("a session in a swarm", () => {
  test("viewers that share the duties fetch one copy together, leaf by leaf, and pass it on", async () => {
    const channel = liveChannel(1);
    const room = new Room();
    const [a, b] = [viewer(channel, room, 5000), viewer(channel, room, 5000)]; // one second until they meet
    await until("they are neighbours", () => a.session.stats().peers === 1 && b.session.stats().peers === 1);
    room.duty(0, 0x00ff);
    room.duty(1, 0xff00);
    const [segment] = channel.segments;
    await Promise.all([a.session.playlist("360p"), b.session.playlist("360p")]);
    const answers = await Promise.all([deliver(a.session, segment.uri), deliver(b.session, segment.uri)]);
    for (const answer of answers) expect(bytes(answer)).toEqual(segment.data);
    const stats = [a.session.stats(), b.session.stats()];
    expect(stats[0].p2pBytes + stats[1].p2pBytes).toBe(SIZE);
    expect(stats[0].uploadedBytes + stats[1].uploadedBytes).toBe(SIZE);
    const media = [...a.cdn.served, ...b.cdn.served].filter((s) => s.url.endsWith(".m4s"));
    expect(media.every((s) => s.range.startsWith("bytes="))).toBe(true);
    expect(stats.map((s) => s.rejectedLeaves)).toEqual([0, 0]);
  });

  test("the swarm waits for the first picture, but not for ever", async () => {
    const channel = liveChannel();
    const room = new Room();
    let nowMs = Date.now();
    const clock = () => new Clock(() => nowMs, () => nowMs);
    const [first, second] = [0, 1].map(() => viewer(channel, room, 0, undefined, undefined, clock()));
    for (const v of [first, second]) v.experience.started = false;
    await first.session.playlist("360p");
    await deliver(first.session, channel.segments[3].uri);
    expect(room.tokens).toBe(0);
    first.experience.started = true;
    await until("the first joins", () => room.tokens === 1);
    nowMs += 2000; // the player of the second asks for nothing
    await until("the second joins", () => room.tokens === 2);
  });

  test("who waits for a first picture asks for it while the playlist is verified, once, and believes no more than otherwise", async () => {
    const channel = liveChannel();
    const [first, fooled] = [viewer(channel, new Room(), 5000), viewer(channel, new Room(), 5000)];
    fooled.cdn.mangle = (path, body) => (path.endsWith(".m4s") ? body.map((b) => b ^ 1) : body);
    for (const v of [first, fooled]) v.experience.started = false;
    const segment = channel.segments.at(-3)!;
    const verifiedWhenAsked: number[] = [];
    first.cdn.mangle = (path, body) => {
      if (path.endsWith(segment.uri)) verifiedWhenAsked.push(first.session.window("360p").length);
      return body;
    };
    await Promise.all([first, fooled].map((v) => v.session.playlist("360p")));
    await until("it is asked for", () => verifiedWhenAsked.length > 0);
    expect(verifiedWhenAsked).toEqual([0]);
    expect(bytes(await deliver(first.session, segment.uri))).toEqual(segment.data);
    expect(first.cdn.count(`360p/${segment.uri}`)).toBe(1);
    expect(await deliver(fooled.session, segment.uri)).toBe("The server sent bytes that the channel's owner did not sign.");
  });

  test("one bad leaf costs its sender the connection; it is not delivered, and the tracker hears of it", async () => {
    const channel = liveChannel(1);
    const room = new Room();
    const [a, b] = [viewer(channel, room, 5000), viewer(channel, room, 5000)]; // one second until they meet
    await until("they are neighbours", () => a.session.stats().peers === 1 && b.session.stats().peers === 1);
    let lies = 0;
    room.onWire = (from, m) => {
      if (m.type !== "LEAF" || !from.endsWith("1")) return m;
      lies++;
      const data = m.data.slice();
      data[7] ^= 1;
      return { ...m, data };
    };
    room.duty(0, 0xffff); // the liar fetches everything
    const [segment] = channel.segments;
    await Promise.all([a.session.playlist("360p"), b.session.playlist("360p")]);
    expect(bytes(await deliver(b.session, segment.uri))).toEqual(segment.data);
    expect(lies).toBeGreaterThan(0);
    expect(b.session.stats()).toMatchObject({ p2pBytes: 0, peers: 0 });
    expect(b.session.stats().rejectedLeaves).toBeGreaterThan(0);
    const told = () => room.reports.flatMap((r) => (r.type === "report" ? r.dropped : []));
    await until("the tracker is told", () => told().some((d) => d.reason === "bad-leaf" && d.id.endsWith("1")));
  });

  test("a neighbour that says nonsense is dropped, and playback goes on from the CDN", async () => {
    const channel = liveChannel(1);
    const room = new Room();
    const [a, b] = [viewer(channel, room, 5000), viewer(channel, room, 5000)]; // one second until they meet
    room.onWire = (from, m) => (from.endsWith("1") && m.type === "HELLO" ? { ...m, channel: "0123456789abcdef" } : m);
    await Promise.all([a.session.playlist("360p"), b.session.playlist("360p")]);
    const [segment] = channel.segments;
    expect(bytes(await deliver(b.session, segment.uri))).toEqual(segment.data);
    expect(b.session.stats().peers).toBe(0);
  });

  test("what a neighbour announced before we knew the record is remembered", async () => {
    const channel = liveChannel(1);
    const room = new Room();
    const [a, b] = [viewer(channel, room, 5000), viewer(channel, room, 5000)]; // one second until they meet
    const announced: string[] = [];
    room.onWire = (from, m) => {
      if (m.type === "HAVE" && from.endsWith("1")) announced.push(m.key);
      return m;
    };
    await until("they are neighbours", () => a.session.stats().peers === 1 && b.session.stats().peers === 1);
    room.duty(0, 0xffff);
    await a.session.playlist("360p");
    const [segment] = channel.segments;
    await deliver(a.session, segment.uri); // a has it before b has heard of it
    await until("a announces it", () => announced.includes(keyOf(segment.record.root)));
    await new Promise((resolve) => setTimeout(resolve, 20)); // on its way to b
    await b.session.playlist("360p");
    expect(bytes(await deliver(b.session, segment.uri))).toEqual(segment.data);
    expect(b.session.stats().p2pBytes).toBe(SIZE);
    expect(b.cdn.count(`360p/${segment.uri}`)).toBe(0);
  });

  test("leaving is said to the neighbours", async () => {
    const channel = liveChannel(1);
    const room = new Room();
    const [a, b] = [viewer(channel, room), viewer(channel, room)];
    await until("they are neighbours", () => a.session.stats().peers === 1 && b.session.stats().peers === 1);
    a.session.stop();
    await until("b notices", () => b.session.stats().peers === 0);
  });
});

test.each([
  ["https://c.test/1.m4s", "https://c.test/1.m4s.leaves"],
  ["https://c.test/1.m4s?token=a.b#c", "https://c.test/1.m4s.leaves?token=a.b#c"],
])("the leaf list of %s is at %s", (url, list) => {
  expect(leafListUrl(url)).toBe(list);
});

describe("the live edge", () => {
  /** Two neighbours that know the channel's first segments; the second one's CDN never shows another. */
  async function neighbours() {
    const channel = liveChannel(4);
    const room = new Room();
    const [a, b] = [viewer(channel, room, 5000), viewer(channel, room, 5000)]; // one second until they meet
    const frozen = channel.playlist().replaceAll(".m4s", ".m4s?token=b");
    b.cdn.mangle = (path, body) => (path.endsWith("index.m3u8") ? (new TextEncoder().encode(frozen) as Bytes) : body);
    await until("they are neighbours", () => a.session.stats().peers === 1 && b.session.stats().peers === 1);
    await Promise.all([a.session.playlist("360p"), b.session.playlist("360p")]);
    return { channel, room, a, b };
  }

  /** What the second one reads until it lists a segment, or soon has not. */
  async function reads(v: Viewer, uri: string): Promise<string> {
    for (let i = 0; i < 2; i++) {
      const { text } = await v.session.playlist("360p");
      if (text.includes(uri)) return text;
    }
    return "";
  }

  test("travels from neighbour to neighbour, and leads to the viewer's own addresses", async () => {
    const { channel, a, b } = await neighbours();
    const next = channel.publish(SIZE);
    const reading = reads(b, next.uri);
    await reads(a, next.uri);
    const text = await reading;
    const lines = text.trim().split("\n");
    expect(lines.at(-1)).toBe(`${BASE}360p/${next.uri}?token=b`);
    expect(lines.at(-3)).toBe(`#EXT-X-PROGRAM-DATE-TIME:${new Date(next.record.startMs).toISOString()}`);
    expect(text).toContain(`#EXT-X-MEDIA-SEQUENCE:${channel.segments[1].record.sequence}\n`); // the window has moved
    expect(text).not.toContain(channel.segments[0].uri);
    expect(bytes(await deliver(b.session, `${next.uri}?token=b`))).toEqual(next.data);
    expect(b.session.window("360p").at(-1)?.number).toBe(next.record.sequence);
  });

  test("does not move by a forged record, which costs its sender the connection", async () => {
    const { channel, room, a, b } = await neighbours();
    const next = channel.publish(SIZE);
    const about = keyOf(next.record.root); // others may still be on their way
    room.onWire = (_, m) => (m.type === "RECORD" && m.key === about ? { ...m, data: m.data.map((v, i) => (i === 200 ? v ^ 1 : v)) } : m);
    const reading = reads(b, next.uri);
    await reads(a, next.uri);
    await until("the forger is dropped", () => b.session.stats().peers === 0);
    expect(await reading).toBe("");
    expect(b.session.stats().rejectedLeaves).toBe(1);
    const told = () => room.reports.flatMap((r) => (r.type === "report" ? r.dropped : []));
    await until("the tracker is told", () => told().some((d) => d.reason === "bad-leaf"));
  });

  test("where addresses follow no pattern the playlist is polled", async () => {
    const { channel, a, b } = await neighbours();
    let odd = false;
    b.cdn.mangle = (path, body) => {
      if (!path.endsWith("index.m3u8")) return body;
      odd = true;
      return new TextEncoder().encode(channel.playlist().replace(/(\d)\.m4s/g, "$1.m4s?$1")) as Bytes;
    };
    await until("it has seen them", () => odd && b.session.stats().requests.playlist > 1);
    const next = channel.publish(SIZE);
    const reading = reads(b, next.uri);
    await reads(a, next.uri);
    expect(await reading).toContain(next.uri);
  });
});

describe("a recording", () => {
  const SEGMENTS = 40;

  /** What was broadcast an hour ago. */
  function recording(): TestChannel {
    const channel = new TestChannel(Math.floor((Date.now() - 3_600_000) / SEGMENT_MS) * SEGMENT_MS);
    for (let i = 0; i < SEGMENTS; i++) channel.publish(LEAF_SIZE + i);
    return channel;
  }

  function watch(channel: TestChannel, room: Room, needInMs: number, view?: View): Viewer {
    const v = viewer(channel, room, needInMs, undefined, view);
    const text = `${channel.playlist(SEGMENTS)}#EXT-X-ENDLIST\n`;
    v.cdn.mangle = (path, body) => (path.endsWith("index.m3u8") ? (new TextEncoder().encode(text) as Bytes) : body);
    return v;
  }

  test("is played from its start; what is far ahead comes from a neighbour, and nothing is fetched beyond", async () => {
    const channel = recording();
    const room = new Room();
    const a = watch(channel, room, 3000); // has all of it after a while
    await a.session.playlist("360p");
    await until("a has it all", () => a.session.stats().verifiedLeaves === SEGMENTS + SEGMENTS - 1, 30_000);
    const now = Date.now();
    const view = { ...NO_VIEW, rendition: "360p", idle: false, atMs: now, sinceMs: now };
    const b = watch(channel, room, 0, view);
    await until("they are neighbours", () => b.session.stats().peers === 1);
    const { text } = await b.session.playlist("360p");
    expect(text).toContain("#EXT-X-ENDLIST");
    await until("b has 40 s ahead", () => b.session.stats().verifiedLeaves >= 2 * 18, 30_000);
    const fetched = b.cdn.served.filter((s) => s.url.endsWith(".m4s")).map((s) => Number(/(\d+)\.m4s/.exec(s.url)![1]));
    expect(Math.max(...fetched, channel.firstNumber)).toBeLessThan(channel.firstNumber + 5);
    expect(b.session.stats().verifiedLeaves).toBeLessThanOrEqual(2 * 22);

    // The viewer seeks to the last minute.
    const target = channel.segments[SEGMENTS - 5];
    Object.assign(view, { positionMs: target.record.startMs, atMs: Date.now(), sinceMs: Date.now() });
    expect(bytes(await deliver(b.session, target.uri))).toEqual(target.data);
    const last = channel.segments[SEGMENTS - 1];
    expect(bytes(await deliver(b.session, last.uri))).toEqual(last.data);
    expect(b.cdn.count(`360p/${last.uri}`)).toBe(0);
  });
});

test("who switched to another rendition keeps its neighbours, and serves what it has of the first", async () => {
  const channel = liveChannel(4);
  const small = new TestChannel(channel.startMs, "180p"); // of the same owner
  for (let i = 0; i < 4; i++) small.publish(SIZE);
  const room = new Room();
  const watcher = () => {
    const cdns = [new TestCdn(channel), new TestCdn(small)];
    const plays = { rendition: "360p" };
    const session = new Session({
      channel: channel.channel,
      renditions: ["360p", "180p"].map((name) => ({ name, url: `${BASE}${name}/index.m3u8` })),
      http: new MediaHttp((url, init) => cdns[url.includes("/180p/") ? 1 : 0].fetch(url, init)),
      scheduler: newScheduler({ swarm: true, upload: true }),
      audience: {
        deadlineMs: (now, _, rendition) => (rendition === plays.rendition ? now + 4000 : 0),
        renditions: () => [plays.rendition],
        experience: () => ({ started: true, stalls: 0, stallMs: 0, latencyMs: 0 }),
      },
      swarm: room.enter(),
    });
    running.push(session);
    session.start();
    return { session, cdns, plays };
  };
  const a = watcher();
  await a.session.playlist("360p");
  const [segment] = channel.segments;
  await deliver(a.session, segment.uri);
  a.plays.rendition = "180p";
  await a.session.playlist("180p");
  const b = watcher();
  await until("they are neighbours", () => a.session.stats().peers === 1 && b.session.stats().peers === 1);
  await b.session.playlist("360p");
  expect(bytes(await deliver(b.session, segment.uri))).toEqual(segment.data);
  expect(b.session.stats().p2pBytes).toBeGreaterThanOrEqual(SIZE);
  expect(b.cdns[0].count(`360p/${segment.uri}`)).toBe(0);
  b.plays.rendition = "180p";
  await b.session.playlist("180p");
  expect(b.session.stats().peers).toBe(1);
});
