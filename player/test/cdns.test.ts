// Several CDNs: what goes where, and what each is held to.

import { afterEach, describe, expect, test, vi } from "vitest";
import { concat, type Bytes } from "../src/bytes";
import { Choice } from "../src/choice";
import { Cdns, firstOf, offersOf } from "../src/cdns";
import { HttpError, type FetchFunction, type Text } from "../src/fetch";
import { readMultivariant } from "../src/manifest";
import { MediaHttp } from "../src/media-http";
import type { Sources } from "../src/port";
import { Steering } from "../src/steering";
import { pattern, respond } from "./fixture";

const DATA = pattern(50_000);
const A = "http://a.test/live/360p/index.m3u8";
const B = "http://b.test/x/360p/index.m3u8?key=b";
const SEGMENT = "http://a.test/live/360p/7.m4s";

/** Two CDNs, each with a way to answer, and what they were asked for. */
function two(a: FetchFunction, b: FetchFunction) {
  const asked: string[] = [];
  const http = new MediaHttp((url, init) => {
    const range = new Headers(init.headers).get("range");
    asked.push(range ? `${url} ${range}` : url);
    return (url.startsWith("http://a.test/") ? a : b)(url, init);
  });
  const cdns = new Cdns({ ...NOWHERE, cdns: ["a", "b"], urls: [[A, B]] }, (url) => http.text(url, 65_536));
  http.cdns = cdns;
  return { http, asked, choice: cdns.choice };
}

const NOWHERE: Sources = { cdnsUrl: "", cdns: [], urls: [], from: 0, steering: "" };

const serve: FetchFunction = async (_, init) => {
  const m = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("range") ?? "");
  return m ? respond(DATA.slice(Number(m[1]), Number(m[2]) + 1), 206) : respond(DATA, 200);
};
const status = (code: number): FetchFunction => async () => respond(new Uint8Array(0), code);
const hang: FetchFunction = (_, init) =>
  new Promise((_resolve, reject) => init.signal!.addEventListener("abort", () => reject(init.signal!.reason)));

const hangs = () => new Promise<Text>(() => undefined);

async function range(http: MediaHttp): Promise<Bytes> {
  const chunks: Bytes[] = [];
  const onBytes = (c: Bytes) => void chunks.push(c.slice());
  await http.range({ url: SEGMENT, first: 0, end: DATA.length, size: DATA.length, durationMs: 2000, onBytes });
  return concat(...chunks);
}

afterEach(() => void vi.useRealTimers());

describe("two CDNs", () => {
  test("the first is asked as long as it answers", async () => {
    const { http, asked } = two(serve, serve);
    await range(http);
    await http.playlist(A);
    expect(asked).toEqual([SEGMENT, A]);
  });

  test("each has its own addresses, and what comes back goes by those of the first", async () => {
    const { http, asked } = two(status(500), serve);
    const { url, from } = await http.playlist(A);
    expect([url, from]).toEqual([A, 1]);
    await range(http);
    expect(asked).toEqual([A, B, "http://b.test/x/360p/7.m4s"]);
  });

  test("one that breaks off in the middle is asked no more, and the next only for what is left", async () => {
    let broken = false;
    const breaks: FetchFunction = async () => {
      const body = new ReadableStream({
        pull(c) {
          if (broken) return c.error(new TypeError("network error"));
          broken = true;
          c.enqueue(DATA.slice(0, 20_000));
        },
      });
      return new Response(body, { status: 200 });
    };
    const { http, asked } = two(breaks, serve);
    expect(await range(http)).toEqual(DATA);
    expect(asked).toEqual([SEGMENT, "http://b.test/x/360p/7.m4s bytes=20000-49999"]);
  });

  test("one that is silent is left after a second and a half, the last one is waited for", async () => {
    vi.useFakeTimers();
    const { http, asked } = two(hang, hang);
    const outcome = range(http).catch((e: HttpError) => e.message);
    await vi.advanceTimersByTimeAsync(1600);
    expect(asked.length).toBe(2);
    await vi.advanceTimersByTimeAsync(3800);
    expect(asked.length).toBe(2);
    await vi.advanceTimersByTimeAsync(200);
    expect(await outcome).toBe(`${SEGMENT} brought nothing for 1.5 s.`);
  });

  test("what is missing at one is its fault only if the other has it", async () => {
    const nobody = two(status(404), status(404));
    await expect(nobody.http.playlist(A)).rejects.toThrow("404");
    expect(nobody.choice.next()).toBe(0);
    const one = two(status(404), serve);
    await one.http.playlist(A);
    expect(one.choice.next()).toBe(1);
  });

  test("who sends what does not pass the check is blamed, and asked no more", async () => {
    const { http, asked } = two(serve, serve);
    const check = () => {
      throw new Error("not signed");
    };
    await expect(http.whole(`${SEGMENT}.leaves`, DATA.length, "list", check)).rejects.toThrow("not signed");
    await http.whole(`${SEGMENT}.leaves`, DATA.length, "list", () => undefined);
    expect(asked).toEqual([`${SEGMENT}.leaves`, "http://b.test/x/360p/7.m4s.leaves"]);
  });

  test("a request that waits for what is to come accuses nobody, a second opinion comes from the other", async () => {
    const { http, asked, choice } = two(status(503), serve);
    await expect(http.playlist(A, { number: 8, part: 2 })).rejects.toThrow("503");
    expect(choice.next()).toBe(0);
    const { from, second } = await http.playlist(A, undefined, true);
    expect([from, second]).toEqual([1, true]);
    expect(asked).toEqual([`${A}?_HLS_msn=8&_HLS_part=2`, B]);
  });

  const playlist = (last: number): FetchFunction => async () =>
    respond(new TextEncoder().encode(`#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:${last}\n#EXTINF:2,\n${last}.m4s\n`), 200);

  test("who was ill is used again when its playlist is as new as it should be", async () => {
    vi.useFakeTimers();
    let way = status(500);
    const { http, choice } = two((url, init) => way(url, init), serve);
    await http.playlist(A);
    const visit = () => http.visit(0, A, 8, undefined).then(() => vi.advanceTimersByTimeAsync(0));
    await visit();
    expect(choice.next()).toBe(1); // too early to ask
    await vi.advanceTimersByTimeAsync(3000);
    await visit();
    expect(choice.next()).toBe(1); // still an error
    way = playlist(6);
    await vi.advanceTimersByTimeAsync(6000);
    await visit();
    expect(choice.next()).toBe(1); // two segments behind
    way = playlist(7);
    await vi.advanceTimersByTimeAsync(12_000);
    await visit();
    expect(choice.next()).toBe(0);
  });

  test("a playlist that is old, and one that knew nothing of what another has, are held against their CDNs", async () => {
    const { http, choice } = two(playlist(6), playlist(8));
    const cdns = (await http.cdns)!;
    const first = await http.playlist(A);
    cdns.judge(first, 7, 7);
    expect(choice.next()).toBe(0);
    cdns.judge(await http.playlist(A, undefined, true), 7, 8);
    expect(choice.next()).toBe(1); // the second opinion knew more
    const other = two(playlist(6), playlist(8));
    (await other.http.cdns)!.judge(await other.http.playlist(A), 8, 8);
    expect(other.choice.next()).toBe(1);
  });
});

describe("what a multivariant playlist offers", () => {
  const line = (pathway: string, uri: string) => `#EXT-X-STREAM-INF:BANDWIDTH=1,NAME="360p"${pathway && `,PATHWAY-ID="${pathway}"`}\n${uri}\n`;
  const offers = (text: string, bases: string[], from = 0) => {
    const { variants, sources } = offersOf(readMultivariant(`#EXTM3U\n${text}`), { url: bases[from], from } as Text, bases);
    return [sources!.cdns, ...variants.map((v, i) => [v.uri, ...sources!.urls[i]])];
  };
  const base = "http://o.test/live/index.m3u8";

  test("is at one place, at those of its pathways, or at those that the page names", () => {
    expect(offers(line("", "360p/i.m3u8"), [base])).toEqual([[base], ["http://o.test/live/360p/i.m3u8", "http://o.test/live/360p/i.m3u8"]]);
    const steered = `#EXT-X-CONTENT-STEERING:SERVER-URI="s",PATHWAY-ID="b"\n${line("a", "http://a.test/i.m3u8")}${line("b", "b/i.m3u8")}`;
    expect(offers(steered, [base, "http://other.test/"])).toEqual([["b", "a"], ["http://o.test/live/b/i.m3u8", "http://o.test/live/b/i.m3u8", "http://a.test/i.m3u8"]]);
    const both = [base, "http://b.test/x/index.m3u8"];
    expect(offers(line("", "360p/i.m3u8"), both, 1)).toEqual([both, ["http://o.test/live/360p/i.m3u8", "http://o.test/live/360p/i.m3u8", "http://b.test/x/360p/i.m3u8"]]);
  });

  test("a rendition that a CDN does not have is asked for at the first", () => {
    const text = line("a", "http://a.test/i.m3u8") + line("b", "http://b.test/i.m3u8") + '#EXT-X-STREAM-INF:BANDWIDTH=2,NAME="720p",PATHWAY-ID="a"\nhttp://a.test/h.m3u8\n';
    expect(offers(text, [base])[2]).toEqual(["http://a.test/h.m3u8", "http://a.test/h.m3u8", ""]);
    expect(new Cdns({ ...NOWHERE, cdns: ["a", "b"], urls: [["http://a.test/h/i.m3u8", ""]] }, hangs).moved("http://a.test/h/i.m3u8", 0, 1)).toBe("http://a.test/h/i.m3u8");
  });
});

test("a multivariant playlist comes from the first address that answers", async () => {
  const asked: string[] = [];
  const get = async (url: string, limitMs?: number) => {
    asked.push(`${url} ${limitMs ?? "as long as it takes"}`);
    if (url !== "c") throw new HttpError(0, `${url} could not be reached.`);
    return { text: "", url } as Text;
  };
  expect((await firstOf(["a", "b", "c"], get)).from).toBe(2);
  expect(asked).toEqual(["a 1500", "b 1500", "c as long as it takes"]);
  await expect(firstOf(["a", "b"], get)).rejects.toThrow("b could not be reached.");
});

describe("the steering manifest", () => {
  const steering = (answers: (string | number)[]) => {
    const asked: string[] = [];
    const get = async (url: string) => {
      asked.push(url);
      const answer = answers.shift()!;
      if (typeof answer === "number") throw new HttpError(answer, "no");
      return { text: answer, url } as Text;
    };
    const choice = new Choice(["a", "b"], 0);
    const s = new Steering(get, choice, ["a", "b"], "http://o.test/steering.json");
    const tick = async (nowMs: number) => {
      s.tick(nowMs);
      for (let i = 0; i < 10; i++) await Promise.resolve();
    };
    return { choice, asked, tick };
  };

  test("is followed, and asked for again by its time, where it says", async () => {
    const { choice, asked, tick } = steering(['{"VERSION":1,"TTL":30,"RELOAD-URI":"s?v=7","PATHWAY-PRIORITY":["b","a"]}', '{"VERSION":1,"TTL":30,"PATHWAY-PRIORITY":["a","b"]}']);
    await tick(1000);
    expect(choice.next()).toBe(1);
    await tick(30_999);
    expect(asked.length).toBe(1);
    await tick(31_000);
    expect(choice.next()).toBe(0);
    expect(asked).toEqual(["http://o.test/steering.json?_HLS_pathway=a", "http://o.test/s?v=7&_HLS_pathway=b"]);
  });

  test.each(["{}", "nonsense", '{"VERSION":2,"PATHWAY-PRIORITY":["b"]}', '{"VERSION":1,"PATHWAY-PRIORITY":5}', 500])("%s changes nothing for five minutes", async (answer) => {
    const { choice, asked, tick } = steering([answer, answer]);
    await tick(1000);
    expect(choice.next()).toBe(0);
    await tick(300_999);
    expect(asked.length).toBe(1);
    await tick(301_000);
    expect(asked.length).toBe(2);
  });
});
