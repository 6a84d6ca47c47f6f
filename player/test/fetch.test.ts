import { afterEach, describe, expect, test, vi } from "vitest";
import { concat, type Bytes } from "../src/bytes";
import { Cdns } from "../src/cdns";
import { HttpError, type FetchFunction } from "../src/fetch";
import { MediaHttp } from "../src/media-http";
import { pattern, respond } from "./fixture";

const DATA = pattern(50_000);

function serve(status = 206, body: Bytes = DATA): FetchFunction {
  return async (_, init) => {
    const m = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("range") ?? "");
    return m && status === 206 ? respond(body.slice(Number(m[1]), Number(m[2]) + 1), 206) : respond(body, status === 206 ? 200 : status);
  };
}

async function range(http: MediaHttp, first: number, end: number): Promise<Bytes> {
  const chunks: Bytes[] = [];
  await http.range({ url: "u", first, end, size: DATA.length, durationMs: 2000, onBytes: (c) => void chunks.push(c.slice()) });
  return concat(...chunks);
}

afterEach(() => void vi.useRealTimers());

describe("byte ranges", () => {
  test("bring exactly what was asked for, in chunks, and are counted", async () => {
    const http = new MediaHttp(serve());
    expect(await range(http, 16_384, 40_000)).toEqual(DATA.slice(16_384, 40_000));
    expect(http.counters).toEqual({ requests: { playlist: 0, list: 0, media: 1, other: 0 }, mediaBytes: 40_000 - 16_384, playlistBytes: 0 });
  });

  test("of a whole object need no range", async () => {
    let asked = "none";
    const http = new MediaHttp(async (url, init) => {
      asked = new Headers(init.headers).get("range") ?? "";
      return serve()(url, init);
    });
    expect(await range(http, 0, DATA.length)).toEqual(DATA);
    expect(asked).toBe("");
  });

  test("from a server that knows no ranges are cut out of everything, no more than needed", async () => {
    const http = new MediaHttp(serve(200));
    expect(await range(http, 5_000, 9_000)).toEqual(DATA.slice(5_000, 9_000));
    expect(http.counters.mediaBytes).toBeLessThan(DATA.length);
  });

  test("that end early are an error that says by how much", async () => {
    const http = new MediaHttp(async () => respond(DATA.slice(0, 100), 206));
    await expect(range(http, 0, 40_000)).rejects.toThrow("u ended 39900 bytes early.");
  });

  test("more than was asked for is ignored", async () => {
    const http = new MediaHttp(async () => respond(DATA, 206));
    expect(await range(http, 0, 100)).toEqual(DATA.slice(0, 100));
  });

  test("an error of the taker ends the request", async () => {
    let cancelled = false;
    const body = new ReadableStream({
      pull: (c) => c.enqueue(new Uint8Array(10)),
      cancel: () => void (cancelled = true),
    });
    const http = new MediaHttp(async (_, init) => {
      init.signal!.addEventListener("abort", () => void body.cancel().catch(() => (cancelled = true)));
      return new Response(body, { status: 206 });
    });
    const request = http.range({
      url: "u",
      first: 0,
      end: 100,
      size: 1000,
      durationMs: 2000,
      onBytes: () => {
        throw new Error("not signed");
      },
    });
    await expect(request).rejects.toThrow("not signed");
    expect(cancelled).toBe(true);
  });
});

describe("trouble", () => {
  test("a status that is none of ours is an error with the status", async () => {
    const error = (await range(new MediaHttp(serve(503)), 0, 10).catch((e: unknown) => e)) as HttpError;
    expect([error.status, error.message]).toEqual([503, "u answered 503."]);
  });

  test("a server that cannot be reached is an error without one", async () => {
    const http = new MediaHttp(async () => {
      throw new TypeError("Failed to fetch");
    });
    const error = (await range(http, 0, 10).catch((e: unknown) => e)) as HttpError;
    expect([error.status, error.message]).toEqual([0, "u could not be reached."]);
  });

  test("a request that brings nothing for four seconds is given up", async () => {
    vi.useFakeTimers();
    const hang: FetchFunction = (_, init) =>
      new Promise((_resolve, reject) => init.signal!.addEventListener("abort", () => reject(init.signal!.reason)));
    const hanging = range(new MediaHttp(hang), 0, 10).catch((e: Error) => e.message);
    await vi.advanceTimersByTimeAsync(4100);
    expect(await hanging).toBe("u brought nothing for 4 s.");
  });

  /** A server that sends so much every three seconds, and what comes of a request to it. */
  const drip = async (bytes: number, request: (http: MediaHttp) => Promise<unknown>) => {
    vi.useFakeTimers();
    const body = new ReadableStream<Uint8Array>({
      async pull(c) {
        await new Promise((resolve) => setTimeout(resolve, 3000));
        c.enqueue(new Uint8Array(bytes));
      },
    });
    const http = new MediaHttp(async (_, init) => {
      const pipe = new TransformStream<Uint8Array, Uint8Array>();
      body.pipeTo(pipe.writable, { signal: init.signal! }).catch(() => undefined); // as an aborted fetch ends its body
      return new Response(pipe.readable, { status: 200 });
    });
    const outcome = request(http).then(
      () => "done",
      (e: Error) => e.message,
    );
    await vi.advanceTimersByTimeAsync(60_000);
    return outcome;
  };
  const large = (http: MediaHttp) => http.range({ url: "u", first: 0, end: 1 << 20, size: 1 << 20, durationMs: 2000, onBytes: () => undefined });

  test.each([
    ["a playlist that drips", 20, (http: MediaHttp) => http.text("u", 1 << 20), "u took longer than 8 s."],
    ["a leaf list that drips", 20, (http: MediaHttp) => http.whole("u", 1 << 20, "list", () => undefined), "u took longer than 8 s."],
    ["a small range that drips", 20, (http: MediaHttp) => range(http, 0, 1000), "u took longer than 8 s."],
    ["a large range that drips", 1 << 16, large, "u took longer than 16 s."],
    ["a large range that is slow", 1 << 18, large, "done"],
  ])("%s", async (_, bytes, request, outcome) => {
    expect(await drip(bytes, request)).toBe(outcome);
  });

  test("an object longer than allowed is not read to its end", async () => {
    const http = new MediaHttp(serve(200));
    await expect(http.whole("u", 10_000, "other", () => undefined)).rejects.toThrow("u is longer than 10000 bytes.");
    await expect(http.text("u", 10_000)).rejects.toThrow("u is longer than 10000 bytes.");
  });
});

describe("playlists", () => {
  test("are text, wherever the chunks were cut, and counted apart", async () => {
    const text = "#EXTM3U\n# ✓ é 👋 ".repeat(500);
    const http = new MediaHttp(async () => respond(new TextEncoder().encode(text) as Bytes, 200, 7));
    expect((await http.text("u", 1 << 20)).text).toBe(text);
    expect(http.counters.mediaBytes).toBe(0);
    expect(http.counters.playlistBytes).toBe(new TextEncoder().encode(text).length);
  });
});

describe("what is asked for ahead", () => {
  test("is taken once by who wants the whole, and nobody else", async () => {
    let asked = 0;
    const http = new MediaHttp(async (url, init) => {
      asked++;
      return serve()(url, init);
    });
    http.ahead("u");
    expect(await range(http, 0, 10)).toEqual(DATA.slice(0, 10));
    expect(asked).toBe(2);
    expect(await range(http, 0, DATA.length)).toEqual(DATA);
    expect(asked).toBe(2);
    await range(http, 0, DATA.length);
    expect(asked).toBe(3);
  });

  test("comes from the CDN that it was asked at, and goes by its address at the first", async () => {
    vi.useFakeTimers();
    const asked: string[] = [];
    const http = new MediaHttp(async (url, init) => {
      asked.push(url);
      return serve()(url, init);
    });
    const cdns = new Cdns({ cdnsUrl: "", cdns: ["a", "b"], urls: [["http://a.test/i.m3u8", "http://b.test/i.m3u8"]], from: 1, steering: "" }, () => http.text("", 0));
    http.cdns = cdns;
    http.ahead("http://a.test/7.m4s", cdns.address("http://a.test/7.m4s"));
    await vi.advanceTimersByTimeAsync(50);
    expect(http.aheadMs("http://a.test/7.m4s")).toBe(50);
    await http.range({ url: "http://a.test/7.m4s", first: 0, end: DATA.length, size: DATA.length, durationMs: 2000, onBytes: () => undefined });
    expect(asked).toEqual(["http://b.test/7.m4s"]);
  });

  test("is given up when nobody wants it, or no longer", async () => {
    vi.useFakeTimers();
    const signals: AbortSignal[] = [];
    const hang: FetchFunction = (_, init) =>
      new Promise((_, reject) => {
        signals.push(init.signal!);
        init.signal!.addEventListener("abort", () => reject(init.signal!.reason));
      });
    const http = new MediaHttp(hang);
    http.ahead("u");
    expect(http.aheadMs("u")).toBe(0);
    await vi.advanceTimersByTimeAsync(4000);
    expect(signals[0].aborted).toBe(true);
    http.ahead("u");
    const taken = range(http, 0, DATA.length).catch((e: Error) => e.message);
    await vi.advanceTimersByTimeAsync(4000);
    expect(await taken).toBe("u brought nothing for 4 s.");
    expect(signals[1].aborted).toBe(true);
    expect(signals).toHaveLength(2);
  });
});
