import { expect, test } from "vitest";
import { readPlaylist, Verifier } from "../src/manifest";
import { address, listed, listedPart, mediaPlaylist } from "../src/retell";
import { BASE, SEGMENT_MS, TestChannel } from "./fixture";

const channel = new TestChannel((Math.floor(Date.now() / SEGMENT_MS) - 5) * SEGMENT_MS);
for (let i = 0; i < 4; i++) channel.publish(1000);

/** What hls.js gets of a playlist. */
async function told(text: string): Promise<string> {
  const playlist = readPlaylist(text);
  const verified = await new Verifier(channel.channel, "360p").playlist(playlist, Date.now());
  const base = `${BASE}360p/index.m3u8`;
  return mediaPlaylist(playlist, listed(playlist, verified, base), playlist.parts.map((p) => listedPart(p, base)));
}

test("what is signed is told, and addresses", async () => {
  const { startMs } = channel.segments[1].record;
  const lines = (await told(channel.playlist(3).replace("#EXTINF", "#EXT-X-DISCONTINUITY\n#EXTINF"))).split("\n");
  expect(lines.slice(0, 11)).toEqual([
    "#EXTM3U",
    "#EXT-X-VERSION:6",
    "#EXT-X-TARGETDURATION:2",
    `#EXT-X-MEDIA-SEQUENCE:${startMs / SEGMENT_MS}`,
    "#EXT-X-DISCONTINUITY-SEQUENCE:0",
    "#EXT-X-INDEPENDENT-SEGMENTS",
    "#EXT-X-DISCONTINUITY",
    `#EXT-X-MAP:URI="${BASE}360p/init.mp4"`,
    `#EXT-X-PROGRAM-DATE-TIME:${new Date(startMs).toISOString()}`,
    "#EXTINF:2.000,",
    `${BASE}360p/${channel.segments[1].uri}`,
  ]);
  expect(lines.filter((line) => line.startsWith("#EXTINF"))).toHaveLength(3);
});

test("parts are told before their segment, and behind the last", async () => {
  const low = new TestChannel(channel.startMs);
  for (let i = 0; i < 6; i++) low.publishPart(1000);
  const playlist = readPlaylist(low.playlist());
  const verifier = new Verifier(low.channel, "360p");
  const verified = await verifier.playlist(playlist, Date.now());
  const parts = (await verifier.parts(playlist, Date.now())).map((p) => listedPart(p, `${BASE}360p/index.m3u8`));
  const [whole] = low.segments;
  const part = (p: { uri: string }, more = "") => `#EXT-X-PART:DURATION=0.500,URI="${BASE}360p/${p.uri}"${more}`;
  const date = (p: { record: { startMs: number } }) => `#EXT-X-PROGRAM-DATE-TIME:${new Date(p.record.startMs).toISOString()}`;
  expect(mediaPlaylist(playlist, listed(playlist, verified, `${BASE}360p/index.m3u8`), parts).split("\n").slice(6)).toEqual([
    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.800",
    "#EXT-X-PART-INF:PART-TARGET=0.500",
    `#EXT-X-MAP:URI="${BASE}360p/init.mp4"`,
    date(whole),
    part(whole.parts[0], ",INDEPENDENT=YES"),
    part(whole.parts[1]),
    part(whole.parts[2]),
    part(whole.parts[3]),
    "#EXTINF:2.000,",
    `${BASE}360p/${whole.uri}`,
    date(low.open[0]),
    part(low.open[0], ",INDEPENDENT=YES"),
    part(low.open[1]),
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="next"',
    "",
  ]);
});

test.each([
  '#EXT-X-KEY:METHOD=AES-128,URI="https://evil"',
  "#EXT-X-BYTERANGE:10@0",
  '#EXT-X-DATERANGE:ID="a",CLASS="com.apple.hls.interstitial",START-DATE="2026-01-01T00:00:00Z",X-ASSET-URI="https://evil"',
  '#EXT-X-DEFINE:NAME="a",VALUE="b"',
  "#EXT-X-SKIP:SKIPPED-SEGMENTS=3",
  "#EXT-X-START:TIME-OFFSET=0",
  "# comment\r#EXT-X-KEY:METHOD=AES-128",
])("what is not signed is not told: %s", async (tag) => {
  expect(await told(channel.playlist().replace("#EXTINF", `${tag}\n#EXTINF`))).toBe(await told(channel.playlist()));
});

test("an address cannot hide a tag, nor be anything but HTTP", async () => {
  const { uri } = channel.segments[0];
  expect(await told(channel.playlist().replace(uri, `x\r#EXT-X-GAP\r${uri}`))).not.toContain("\r");
  expect(await told(channel.playlist().replace("init.mp4", 'init.mp4?",BYTERANGE="1@0'))).not.toContain("BYTERANGE");
  await expect(told(channel.playlist().replace(uri, "data:,evil"))).rejects.toThrow("its address is none of HTTP");
  expect(address("http://[", BASE)).toBeUndefined();
});

test("gaps share the signed time between their neighbours, whatever the playlist says", async () => {
  const { uri } = channel.segments[1];
  const gap = new RegExp(`#EXT-X-SLIPSTREAM-RECORD:.*\n#EXT-X-PROGRAM-DATE-TIME.*\n#EXTINF:2.000,\n${uri}`);
  const withGap = channel.playlist().replace(gap, `#EXT-X-GAP\n#EXTINF:900000,\n${uri}`);
  const playlist = readPlaylist(withGap);
  const known = await new Verifier(channel.channel, "360p").playlist(readPlaylist(channel.playlist()), Date.now());
  const text = mediaPlaylist(playlist, listed(playlist, [known[0], ...known.slice(2)], BASE), []);
  const at = new Date(channel.segments[1].record.startMs).toISOString();
  expect(text).toContain(`#EXT-X-GAP\n#EXT-X-PROGRAM-DATE-TIME:${at}\n#EXTINF:2.000,\ngap\n`);
  expect(text).toContain("#EXT-X-TARGETDURATION:2\n");
});
