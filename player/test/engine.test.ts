import { describe, expect, test, vi } from "vitest";
import { onMeteredLink, SlipstreamEngine } from "../src/engine";
import { CoreLink } from "../src/link";
import { readMultivariant } from "../src/manifest";
import { formatBytes, offload, statRows } from "../src/overlay";
import { area, Rates } from "../pages/chart";
import { BASE, TestCdn, TestChannel, until } from "./fixture";

const channel = new TestChannel((Math.floor(Date.now() / 2000) - 5) * 2000);
for (let i = 0; i < 4; i++) channel.publish(20_000);

async function engineFor(options: ConstructorParameters<typeof SlipstreamEngine>[0], text = channel.multivariant(true)) {
  const cdn = new TestCdn(channel);
  cdn.mangle = (path, body) => (path === "index.m3u8" ? new Response(text, { status: 200 }) : body);
  vi.stubGlobal("fetch", cdn.fetch);
  const engine = new SlipstreamEngine(options);
  try {
    const { text } = await engine.playlist(`${BASE}index.m3u8`, true);
    return { engine, cdn, text };
  } finally {
    vi.unstubAllGlobals();
  }
}

describe("an engine that knows the address", () => {
  const begun = async (src: string) => {
    const cdn = new TestCdn(channel);
    vi.stubGlobal("fetch", cdn.fetch);
    const engine = new SlipstreamEngine({ src });
    const before = cdn.count("index.m3u8");
    const { text } = await engine.playlist(`${BASE}index.m3u8`, true).finally(() => vi.unstubAllGlobals());
    engine.destroy();
    expect(text).toContain("360p");
    return [before, cdn.count("index.m3u8")];
  };

  test("asks for the stream at once, and once", async () => expect(await begun(`${BASE}index.m3u8`)).toEqual([1, 1]));

  test.each([
    [[900_000, 400_000], "900k"],
    [[400_000, 900_000, 5_000_000], "900k"], // 1.5 Mb/s are assumed
    [[9_000_000, 5_000_000], "9000k"],
  ])("asks for the playlist that the player will begin with, of %j", async (bandwidths, expected) => {
    const variants = bandwidths.map((b) => `#EXT-X-STREAM-INF:BANDWIDTH=${b}\n${b / 1000}k/index.m3u8\n`).join("");
    const text = channel.multivariant().replace(/#EXT-X-STREAM-INF[^]*/, variants);
    const cdn = new TestCdn(channel);
    cdn.mangle = () => new Response(text, { status: 200 });
    vi.stubGlobal("fetch", cdn.fetch);
    const engine = new SlipstreamEngine({ src: `${BASE}index.m3u8` });
    await until("a playlist is asked for", () => cdn.served.length > 1).finally(() => vi.unstubAllGlobals());
    engine.destroy();
    expect(cdn.served[1].url).toBe(`${BASE}${expected}/index.m3u8`);
  });

  test("does not take another stream's answer for it", async () => {
    expect(await begun(`${BASE}other/index.m3u8`)).toEqual([0, 1]);
  });
});

describe("whose stream it is", () => {
  test("is believed on first use", async () => {
    const { engine } = await engineFor({});
    expect(engine.channel).toBe(channel.id);
    expect(engine.signed).toBe(true);
    engine.destroy();
  });

  test("must be the channel that was asked for", async () => {
    const other = "A".repeat(43);
    await expect(engineFor({ channel: other })).rejects.toThrow(`belongs to channel ${channel.id}, not to the one asked for`);
    const { engine } = await engineFor({ channel: channel.id });
    engine.destroy();
  });

  test("an unsigned stream is played unverified, unless a channel was asked for", async () => {
    const plain = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n";
    const { engine } = await engineFor({}, plain);
    expect(engine.signed).toBe(false);
    engine.destroy();
    const pinned = await engineFor({ channel: channel.id }, plain);
    expect(pinned.engine.signed).toBe(true);
    pinned.engine.destroy();
  });

  test("once signed it stays signed, and the same", async () => {
    const { engine, cdn } = await engineFor({});
    const next = async (text: string) => {
      cdn.mangle = () => new Response(text, { status: 200 });
      vi.stubGlobal("fetch", cdn.fetch);
      await engine.playlist(`${BASE}index.m3u8`, true).finally(() => vi.unstubAllGlobals());
    };
    await next("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n");
    expect(engine.signed).toBe(true);
    await expect(next(channel.multivariant().replace(channel.id, "A".repeat(43)))).rejects.toThrow("belonged to before");
    expect(engine.channel).toBe(channel.id);
    engine.destroy();
  });

  test("hls.js reads of it only the renditions, and no interstitials", async () => {
    const hostile = channel
      .multivariant()
      .replace("#EXT-X-STREAM-INF:", '#EXT-X-SESSION-KEY:METHOD=AES-128,URI="https://evil"\n#EXT-X-STREAM-INF:AUDIO="a",CODECS="avc1.4d401f,mp4a.40.2",')
      .concat('#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="https://evil"\n#EXT-X-CONTENT-STEERING:SERVER-URI="https://evil"\n')
      .concat("#EXT-X-STREAM-INF:BANDWIDTH=2\ndata:,evil\n");
    const { engine, text } = await engineFor({}, hostile);
    expect(text.trim().split("\n")).toEqual([
      "#EXTM3U",
      "#EXT-X-VERSION:6",
      "#EXT-X-INDEPENDENT-SEGMENTS",
      '#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.4d401f,mp4a.40.2",NAME="360p"',
      `${BASE}360p/index.m3u8`,
    ]);
    expect(engine.hlsConfig().enableInterstitialPlayback).toBe(false);
    engine.destroy();
  });

  test.each([
    ["/tracker", "/tracker", true],
    ["/tracker", "http://[", false],
    ["/tracker", "data:,x", false],
    ["/live/demo/token", "https://", false],
    ["/live/demo/token", "ws://o.test/token", false],
  ])("with %s given as %s there is playback, and a swarm: %s", async (good, given, expected) => {
    vi.stubGlobal("RTCPeerConnection", class {});
    vi.stubGlobal("RTCDataChannel", class {});
    const said = vi.spyOn(CoreLink.prototype, "say");
    const { engine } = await engineFor({}, channel.multivariant(true).replace(`"${good}"`, `"${given}"`));
    const [opening] = said.mock.calls.flatMap(([m]) => (m.type === "open" ? [m] : []));
    said.mockRestore();
    engine.destroy();
    expect(engine.channel).toBe(channel.id);
    expect(opening.config.swarm !== undefined).toBe(expected);
  });

  test("that names CDNs is played from the first listed where what it takes to change between them is missing", async () => {
    vi.doMock("../src/cdns.js", () => {
      throw new Error("404");
    });
    const steered = channel
      .multivariant()
      .replace("#EXT-X-STREAM-INF:", '#EXT-X-CONTENT-STEERING:SERVER-URI="s",PATHWAY-ID="b"\n#EXT-X-STREAM-INF:PATHWAY-ID="a",')
      .concat('#EXT-X-STREAM-INF:BANDWIDTH=1,NAME="360p",PATHWAY-ID="b"\nhttp://b.test/360p/index.m3u8\n');
    const first = async () => {
      const { engine, text } = await engineFor({}, steered);
      engine.destroy();
      return text.split("\n").find((line) => line.startsWith("http"));
    };
    expect(await first()).toBe(`${BASE}360p/index.m3u8`);
    vi.doUnmock("../src/cdns.js");
    vi.resetModules();
    expect(await first()).toBe("http://b.test/360p/index.m3u8");
  });

  test("a channel id that is none is told at once", () => {
    expect(() => new SlipstreamEngine({ channel: "demo" })).toThrow("43 characters of base64url");
  });

  test("one rendition's playlist is not the channel's", async () => {
    await expect(engineFor({ channel: channel.id }, channel.playlist())).rejects.toThrow("one rendition's playlist");
  });

  test("a playlist before the session, and bytes of nobody, are refused", async () => {
    const { engine } = await engineFor({}, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n");
    const answer = await new Promise((resolve) => {
      engine.deliver("x", { done: resolve, failed: (e) => resolve(e.message) });
    });
    expect(answer).toBe("No verified playlist lists this segment.");
    engine.destroy();
  });
});

test("nothing is uploaded on a metered link", () => {
  const links = [{ saveData: true }, { type: "cellular" }, { type: "wifi" }, undefined];
  const metered = links.map((connection) => {
    vi.stubGlobal("navigator", { connection });
    return [onMeteredLink(), new SlipstreamEngine().uploads, new SlipstreamEngine({ upload: false }).uploads];
  });
  vi.unstubAllGlobals();
  expect(metered).toEqual([
    [true, false, false],
    [true, false, false],
    [false, true, false],
    [false, true, false],
  ]);
});

describe("a multivariant playlist", () => {
  test("names channel, tracker, token and renditions", () => {
    const m = readMultivariant(channel.multivariant(true));
    expect(m).toEqual({
      channel: channel.id,
      tracker: "/tracker",
      token: "/live/demo/token",
      steering: "",
      pathway: "",
      variants: [
        { uri: "360p/index.m3u8", rendition: "360p", bandwidth: 900_000, pathway: "", attributes: `BANDWIDTH=900000,NAME="360p"` },
      ],
    });
  });

  test("without NAME is named after its folder", () => {
    const m = readMultivariant("#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x180\r\nhttps://c.test/x/180p/i.m3u8?t=1\r\n");
    expect(m.variants).toMatchObject([{ uri: "https://c.test/x/180p/i.m3u8?t=1", rendition: "180p", bandwidth: 1 }]);
  });

  test.each([
    ["nothing", ""],
    ["something else", "<html>"],
    ["no rendition", "#EXTM3U\n"],
    ["no bandwidth", "#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"a\"\na\n"],
    ["a channel id that is none", "#EXTM3U\n#EXT-X-SESSION-DATA:DATA-ID=\"slipstream.channel\",VALUE=\"demo\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n"],
    ["two tags for one URI", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n"],
  ])("is refused: %s", (_, text) => {
    expect(() => readMultivariant(text)).toThrow(/^the multivariant playlist, line/);
  });
});

describe("what the overlay says", () => {
  const stats = {
    ...new SlipstreamEngine().stats,
    httpBytes: 2_500_000,
    p2pBytes: 7_500_000,
    latencyMs: 6800,
    stalls: 2,
    stallMs: 1500,
    level: "360p",
  };

  test("is readable", () => {
    expect(Object.fromEntries(statRows(stats))).toMatchObject({
      "From CDN": "2.50 MB",
      "From peers": "7.50 MB",
      Offload: "75 %",
      "Live latency": "6.8 s",
      Stalls: "2 (1.5 s)",
      Level: "360p",
      Startup: "–",
    });
  });

  test("offload of nothing is nothing", () => {
    expect(offload(new SlipstreamEngine().stats)).toBe(0);
  });

  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [99_950, "100 kB"],
    [999_600, "1.00 MB"],
    [123_456_789_000, "123 GB"],
  ])("%i bytes are %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe("the chart", () => {
  test("draws rates of the last ten seconds, and takes a viewer who left for no negative one", () => {
    const rates = new Rates();
    rates.add(1000, 0, 0);
    rates.add(3000, 4000, 1000);
    rates.add(3000, 9000, 9000); // the same moment again
    rates.add(5000, 1000, 2000); // somebody left
    expect(rates.points).toEqual([
      { atMs: 3000, p2p: 2000, http: 500 },
      { atMs: 5000, p2p: 1000, http: 500 },
    ]);
    for (let at = 7000; at <= 15_000; at += 2000) rates.add(at, 1000, 2000);
    expect(rates.points.at(-1)).toEqual({ atMs: 15_000, p2p: 0, http: 0 });
  });

  test("is empty before there are two points", () => {
    expect(area([0.5])).toBe("");
    expect(area([0, 1])).toBe("M0 160L0.0 160.0L600.0 6.4L600 160Z");
  });
});
