import { afterEach, describe, expect, test } from "vitest";
import { MediaHttp } from "../src/media-http";
import { newScheduler } from "../src/sched";
import { Session } from "../src/session";
import { BASE, respond, SEGMENT_MS, TestCdn, TestChannel, until } from "./fixture";

const SIZE = 3000;
const SEGMENTS = 30;
const CHAPTER = 8;

const running: Session[] = [];
afterEach(() => {
  for (const session of running.splice(0)) session.stop();
});

/** The playlist of all that there was, as origin/hls/plain.go writes it. */
function long({ segments, firstNumber, init }: TestChannel, keepsS: number): string {
  return [
    "#EXTM3U",
    "#EXT-X-TARGETDURATION:2",
    `#EXT-X-MEDIA-SEQUENCE:${firstNumber}`,
    "#EXT-X-DISCONTINUITY-SEQUENCE:7",
    ...(keepsS ? [`#EXT-X-SLIPSTREAM-KEEPS:SECONDS=${keepsS}`] : []),
    ...segments.flatMap((s, i) => [
      ...(i % CHAPTER === 0 ? [`#EXT-X-SLIPSTREAM-CHAPTER:URI="dvr-${firstNumber + i}.m3u8"`] : []),
      ...(i === 0 ? [`#EXT-X-MAP:URI="${init.uri}"`, `#EXT-X-PROGRAM-DATE-TIME:${new Date(s.record.startMs).toISOString()}`] : []),
      "#EXTINF:2.000,",
      s.uri,
    ]),
    "",
  ].join("\n");
}

/** A viewer who may go back beyond the ten segments that the live playlist lists. */
function viewer(mangle: (path: string, text: string) => string = (_, text) => text, keepsS = 0) {
  const channel = new TestChannel((Math.floor(Date.now() / SEGMENT_MS) - SEGMENTS) * SEGMENT_MS);
  for (let i = 0; i < SEGMENTS; i++) channel.publish(SIZE);
  const { firstNumber, segments } = channel;
  const kept = new Map([["360p/dvr.m3u8", long(channel, keepsS)]]);
  for (let at = 0; at < SEGMENTS; at += CHAPTER) {
    kept.set(`360p/dvr-${firstNumber + at}.m3u8`, `${channel.playlist(0, segments.slice(at, at + CHAPTER))}#EXT-X-ENDLIST\n`);
  }
  const cdn = new TestCdn(channel);
  const http = new MediaHttp(async (url, init) => {
    const path = url.replace(BASE, "");
    const text = kept.get(path);
    return text ? respond(new TextEncoder().encode(mangle(path, text)), 200) : cdn.fetch(url, init);
  });
  const session = new Session({
    channel: channel.channel,
    renditions: [{ name: "360p", url: `${BASE}360p/index.m3u8`, dvr: `${BASE}360p/dvr.m3u8` }],
    http,
    scheduler: newScheduler({ swarm: false, upload: false }),
    audience: { deadlineMs: () => 0, renditions: () => [], experience: () => ({ started: true, stalls: 0, stallMs: 0, latencyMs: 0 }) },
  });
  running.push(session);
  session.start();
  return { session, channel, segments };
}

const listedIn = (text: string) => [...text.matchAll(/^https.*\/(\d+\.m4s)$/gm)].map((m) => m[1]);

describe("a viewer who may go back", () => {
  test("is offered all that is kept, in front of what is live, and gets it", async () => {
    const { session, channel, segments } = viewer();
    const { text } = await session.playlist("360p");
    expect(listedIn(text)).toEqual(segments.map((s) => s.uri));
    expect(text).toContain(`#EXT-X-MEDIA-SEQUENCE:${channel.firstNumber}\n#EXT-X-DISCONTINUITY-SEQUENCE:7\n`);
    expect(text).not.toContain("GAP");
    const oldest = await new Promise((done, failed) => session.deliver(`${BASE}360p/${segments[0].uri}`, { done, failed }));
    expect(new Uint8Array(oldest as ArrayBuffer)).toEqual(segments[0].data);
  });

  test("is offered as much as before when time goes on", async () => {
    const { session, channel } = viewer();
    await session.playlist("360p");
    channel.publish(SIZE);
    const { text } = await session.playlist("360p");
    expect(listedIn(text)).toEqual(channel.segments.slice(1).map((s) => s.uri));
    expect(text).toContain(`#EXT-X-MEDIA-SEQUENCE:${channel.firstNumber + 1}\n`);
  });

  test("goes back further as time goes on, as far as the origin keeps it", async () => {
    const { session, channel } = viewer(undefined, (SEGMENTS + 2) * (SEGMENT_MS / 1000));
    await session.playlist("360p");
    for (const published of [2, 3]) {
      while (channel.segments.length < SEGMENTS + published) channel.publish(SIZE);
      const { text } = await session.playlist("360p");
      expect(listedIn(text)).toEqual(channel.segments.slice(-SEGMENTS - 2).map((s) => s.uri));
    }
  });

  test("sees nothing of a chapter that its owner did not sign so, and all of the others", async () => {
    let chapters = 0;
    const { session, segments } = viewer((path, text) => {
      if (path.endsWith("dvr.m3u8") || ++chapters !== 2) return text;
      return text.replaceAll("EXTINF:2.000", "EXTINF:1.900");
    });
    const { text } = await session.playlist("360p");
    const seen = [...segments.slice(0, CHAPTER), ...segments.slice(2 * CHAPTER)];
    expect(listedIn(text)).toEqual(seen.map((s) => s.uri));
    expect(text.match(/#EXT-X-GAP/g)).toHaveLength(CHAPTER);
  });

  test("watches live where nothing is kept", async () => {
    const { session, segments } = viewer(() => "not found");
    const { text } = await session.playlist("360p");
    expect(listedIn(text)).toEqual(segments.slice(-10).map((s) => s.uri));
    await until("the window", () => session.window("360p").length === 10);
  });
});
