import core from "slipstream:core";
import { afterEach, describe, expect, test, vi } from "vitest";
import { CoreLink } from "../src/link";
import { PageHttp } from "../src/page-http";
import type { Line } from "../src/rtc";
import type { CoreScope, FromCore, ToCore } from "../src/port";
import { Remote } from "../src/remote";
import { NO_VIEW, type View } from "../src/view";
import { BASE, SEGMENT_MS, TestCdn, TestChannel, until } from "./fixture";

const SIZE = 40_000;
const PLAYLIST = `${BASE}360p/index.m3u8`;

const running: Remote[] = [];
afterEach(() => {
  for (const remote of running.splice(0)) remote.stop();
  vi.unstubAllGlobals();
});

/** A page whose core runs beside it, as where there are no workers. */
function page(view: Partial<View> = {}) {
  const channel = new TestChannel((Math.floor(Date.now() / SEGMENT_MS) - 4) * SEGMENT_MS);
  for (let i = 0; i < 4; i++) channel.publish(SIZE);
  const cdn = new TestCdn(channel);
  vi.stubGlobal("fetch", cdn.fetch);
  const renditions = [{ name: "360p", url: `${BASE}360p/index.m3u8` }];
  const seen: View = { ...NO_VIEW, rendition: "360p", ...view };
  const remote = new Remote(new CoreLink(true), { channel: channel.id, renditions, ed25519Url: "" }, new PageHttp(), {}, () => seen);
  running.push(remote);
  return { remote, channel, cdn };
}

const deliver = (remote: Remote, uri: string) =>
  new Promise<ArrayBuffer | Error>((resolve) => {
    remote.deliver(`${BASE}360p/${uri}`, { done: resolve, failed: resolve });
  });

describe("a page and its core", () => {
  test("the player gets verified playlists and bytes, the page windows and accounts", async () => {
    const { remote, channel, cdn } = page();
    const { text } = await remote.playlist("360p");
    expect(text).toContain(`${BASE}360p/${channel.segments[3].uri}`);
    expect(remote.window("360p").map((e) => e.number)).toEqual(channel.segments.map((s) => s.record.sequence));
    expect(remote.healthy("360p")).toBe(true);
    const bytes = await deliver(remote, channel.segments[1].uri);
    expect(new Uint8Array(bytes as ArrayBuffer)).toEqual(channel.segments[1].data);
    await until("the account", () => remote.account.stats.verifiedLeaves === 3);
    expect(remote.account.stats.requests).toMatchObject({ media: 1, list: 0, other: 1 });
    expect(remote.account.stats.requests.playlist).toBe(cdn.count("360p/index.m3u8"));
  });

  test("a refusal comes with its sentence, and is known for one", async () => {
    const { remote, cdn } = page();
    cdn.mangle = (path, body) => (path.endsWith("index.m3u8") ? new Response("#EXTM3U\n") : body);
    const error = (await remote.playlist("360p").catch((e: unknown) => e)) as Error;
    expect(error.message).toContain("it has no EXT-X-TARGETDURATION");
    expect(remote.account.refused).toBe(error.message);
  });

  test("bytes that nobody signed are never delivered, and said to be unsigned", async () => {
    const { remote, channel, cdn } = page();
    cdn.mangle = (path, body) => (path.endsWith(".m4s") ? body.map((b) => b ^ 1) : body);
    await remote.playlist("360p");
    expect(await deliver(remote, channel.segments[1].uri)).toMatchObject({ unsigned: true });
  });

  test("a load that was cancelled is heard of no more", async () => {
    const { remote, channel } = page();
    await remote.playlist("360p");
    const heard: unknown[] = [];
    const hear = (x: unknown) => void heard.push(x);
    remote.deliver(`${BASE}360p/${channel.segments[1].uri}`, { done: hear, failed: hear }).cancel();
    await deliver(remote, channel.segments[2].uri);
    expect(heard).toEqual([]);
  });
});

test("a worker that cannot start is done without", async () => {
  class Forbidden {
    onerror?: () => void;
    constructor() {
      setTimeout(() => this.onerror?.());
    }
    postMessage(): void {}
    terminate(): void {}
  }
  vi.stubGlobal("Worker", Forbidden);
  const { remote } = page();
  expect((await remote.playlist("360p")).text).toContain("#EXTM3U");
});

/** Workers that run the core, each as soon as it is let. */
function slowWorkers(channels: boolean) {
  const made: { run(): void; terminated: boolean }[] = [];
  vi.stubGlobal("Worker", class {
    onmessage?: (event: { data: FromCore }) => void;
    terminated = false;
    private readonly early: ToCore[] = [];
    private scope: CoreScope | undefined;
    constructor() {
      made.push(this);
    }
    run(): void {
      const postMessage = (m: FromCore) => {
        const data = m.type === "ready" ? { ...m, channels } : m;
        queueMicrotask(() => this.terminated || this.onmessage?.({ data }));
      };
      core((this.scope = { onmessage: null, postMessage }));
      for (const data of this.early) this.scope.onmessage?.({ data });
    }
    postMessage(data: ToCore): void {
      if (this.scope) queueMicrotask(() => this.terminated || this.scope!.onmessage?.({ data }));
      else this.early.push(data);
    }
    terminate(): void {
      this.terminated = true;
    }
  });
  return made;
}

describe("while the core starts", () => {
  test("the page asks for the first playlist, and nobody asks again", async () => {
    const [workers, { remote, channel, cdn }] = [slowWorkers(true), page()];
    remote.begin("360p", PLAYLIST);
    const answer = remote.playlist("360p");
    await until("the page asks", () => cdn.count("360p/index.m3u8") === 1);
    workers[0].run();
    expect((await answer).text).toContain(`${BASE}360p/${channel.segments[3].uri}`);
    expect(cdn.count("360p/index.m3u8")).toBe(1);
    expect(remote.window("360p")).toHaveLength(4);
  });

  test("what is begun before the player asks is what the player gets", async () => {
    const { remote, channel, cdn } = page();
    remote.begin("360p", PLAYLIST);
    await until("the window is known", () => remote.window("360p").length === 4);
    expect((await remote.playlist("360p")).text).toContain(`${BASE}360p/${channel.segments[3].uri}`);
    expect(cdn.count("360p/index.m3u8")).toBe(1);
  });

  test("a player that begins with another rendition gets that one's playlist", async () => {
    const { remote } = page();
    remote.begin("360p", PLAYLIST);
    await expect(remote.playlist("180p")).rejects.toThrow('offers no rendition "180p"');
  });

  test("what the page fetched is believed no more than anything else", async () => {
    const [workers, { remote, channel, cdn }] = [slowWorkers(true), page()];
    const signature = /(EXT-X-SLIPSTREAM-RECORD:.*)(.{9})$/m;
    const forged = channel.playlist().replace(signature, (_, before: string) => `${before}AAAAAAAAA`);
    cdn.mangle = (path, body) => (path.endsWith("index.m3u8") ? new Response(forged) : body);
    remote.begin("360p", PLAYLIST);
    const answer = remote.playlist("360p");
    workers[0].run();
    const error = (await answer.catch((e: unknown) => e)) as Error;
    expect(error.message).toContain("the signature of its record does not match");
    expect(remote.window("360p")).toEqual([]);
  });

  test("a page that gets no answer leaves it to the core", async () => {
    const [workers, { remote, cdn }] = [slowWorkers(true), page()];
    cdn.mangle = (_, body) => (cdn.served.length === 1 ? new Response("", { status: 503 }) : body);
    remote.begin("360p", PLAYLIST);
    const answer = remote.playlist("360p");
    workers[0].run();
    expect((await answer).text).toContain("#EXTM3U");
  });

  test("a worker that could not be given data channels is not used", async () => {
    const [workers, { remote }] = [slowWorkers(false), page()];
    workers[0].run();
    expect((await remote.playlist("360p")).text).toContain("#EXTM3U");
    expect(workers[0].terminated).toBe(true);
  });
});

test("where connections are forbidden the neighbour is given up, and nothing else", () => {
  vi.stubGlobal("RTCPeerConnection", class {
    constructor() {
      throw new Error("forbidden");
    }
  });
  const link = new CoreLink(true);
  const said = vi.spyOn(link, "say");
  const remote = new Remote(link, { channel: "A".repeat(43), renditions: [], ed25519Url: "" }, new PageHttp(), {}, () => NO_VIEW);
  running.push(remote);
  link.heard({ type: "connect", line: 3, makesOffer: true });
  expect(said).toHaveBeenLastCalledWith({ type: "ended", line: 3, reason: "this browser forbids connections" });
  expect((remote as unknown as { lines: Map<number, Line> }).lines.size).toBe(0);
});
