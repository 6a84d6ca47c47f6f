// The channel of mainthread.mjs: signed, live, of any bitrate.

import { concat, type Bytes } from "../src/bytes";
import { SEGMENT_MS, TestChannel } from "../test/fixture";

export { SEGMENT_MS };

const KEPT = 12;

export function makeCdn(segmentBytes: number) {
  const channel = new TestChannel((Math.floor(Date.now() / SEGMENT_MS) - 4) * SEGMENT_MS);
  const text = (s: string) => new TextEncoder().encode(s) as Bytes;
  for (let i = 0; i < 4; i++) channel.publish(segmentBytes);
  return {
    channelId: channel.id,
    publish: () => channel.publish(segmentBytes),
    body(path: string): Bytes | undefined {
      if (path === "/live/demo/index.m3u8") return text(channel.multivariant(true));
      const name = path.replace("/live/demo/360p/", "");
      if (name === "index.m3u8") return text(channel.playlist(KEPT));
      const object = [channel.init, ...channel.segments.slice(-2 * KEPT)].find((s) => name.startsWith(s.uri));
      return name.endsWith(".leaves") ? object && concat(...object.leaves) : object?.data;
    },
  };
}
