import type {
  FragmentLoaderContext,
  HlsConfig,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderContext,
  LoaderStats,
  PlaylistLoaderContext,
} from "hls.js";
import Hls from "hls.js/light";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HttpError, type Text } from "../src/fetch";
import { fragmentLoader, loadError, playlistLoader, type LoaderHost } from "../src/hls";
import { ManifestError } from "../src/manifest";
import { DeliveryError, type Delivery } from "../src/objects";
import type { Progress } from "../src/session";
import { NetworkMeter, Transfer } from "../src/timing";

const SIZE = 225_000; // two seconds at 900 kb/s
const CONFIG = { loadPolicy: { maxTimeToFirstByteMs: 8000, maxLoadTimeMs: 20_000, timeoutRetry: null, errorRetry: null } };
const loaderConfig = CONFIG as unknown as LoaderConfiguration;

/** What hls.js's rule for abandoning a fragment looks at (abr-controller.ts, _abandonRulesCheck). */
function abandonRule(stats: LoaderStats, nowMs: number, durationMs = 2000) {
  const timeLoadingMs = nowMs - stats.loading.start;
  const firstByteMs = stats.loading.first ? stats.loading.first - stats.loading.start : -1;
  const streamingMs = stats.loaded && firstByteMs > -1 ? timeLoadingMs - firstByteMs : timeLoadingMs;
  const bytesPerMs = stats.loaded && firstByteMs > -1 ? stats.loaded / streamingMs : 0;
  return { considered: timeLoadingMs > durationMs / 2, restMs: (SIZE - stats.loaded) / bytesPerMs };
}

/** The bandwidth sample that hls.js takes of a fragment (onFragBuffered), bits/s; its latency estimate is ours. */
function bandwidthSample(stats: LoaderStats, firstByteMs: number): number {
  const ms = stats.loading.end - stats.loading.start - Math.min(stats.loading.first - stats.loading.start, firstByteMs);
  return (stats.loaded * 8000) / ms;
}

class FakeHost implements LoaderHost {
  readonly meter = new NetworkMeter();
  readonly transfer = new Transfer(this.meter);
  delivery: Delivery | undefined;
  cancelled = 0;
  signed = true;
  plain = 0;
  texts: (() => Promise<Text>)[] = [];
  asked = 0;

  playlist(): Promise<Text> {
    return this.texts[Math.min(this.asked++, this.texts.length - 1)]();
  }

  deliver(_url: string, delivery: Delivery) {
    this.delivery = delivery;
    const progress = (): Progress => ({
      loaded: this.transfer.loaded,
      total: SIZE,
      elapsedMs: this.transfer.elapsedMs(performance.now()),
      firstByteMs: this.meter.firstByteMs,
    });
    return { progress, cancel: () => void this.cancelled++ };
  }

  countPlain(bytes: number): void {
    this.plain += bytes;
  }
}

/** Callbacks that remember what they were told. */
function listen<C extends LoaderContext>() {
  const heard: string[] = [];
  const callbacks = {
    onSuccess: vi.fn(() => void heard.push("success")),
    onError: vi.fn((error: { code: number; text: string }) => void heard.push(`error ${error.code}: ${error.text}`)),
    onTimeout: vi.fn(() => void heard.push("timeout")),
    onAbort: vi.fn(() => void heard.push("abort")),
  } satisfies LoaderCallbacks<C>;
  return { heard, callbacks };
}

function fragment(host: FakeHost) {
  const Loader = fragmentLoader(host);
  const loader = new Loader({} as HlsConfig);
  const stats = loader.stats; // hls.js keeps this reference before it calls load
  const { heard, callbacks } = listen<FragmentLoaderContext>();
  loader.load({ url: "u", responseType: "arraybuffer" } as FragmentLoaderContext, loaderConfig, callbacks);
  return { loader, stats, heard, callbacks };
}

beforeEach(() => void vi.useFakeTimers({ now: 1_767_225_600_000 }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("fragment timings", () => {
  test("a fragment that neighbours bring in bits over three seconds is not abandoned, nor taken for a slow network", async () => {
    const host = new FakeHost();
    host.meter.sampleTransfer(1_000_000, 400); // the network has 20 Mb/s
    const { stats } = fragment(host);
    for (let i = 0; i < 13; i++) {
      await vi.advanceTimersByTimeAsync(230);
      host.transfer.fromPeer(16_384, performance.now());
      await vi.advanceTimersByTimeAsync(10);
      expect(abandonRule(stats, performance.now()).considered).toBe(false);
    }
    expect(stats.loaded).toBeGreaterThan(180_000); // it moves while loading
    host.transfer.fromPeer(SIZE - host.transfer.loaded, performance.now());
    host.delivery!.done(new ArrayBuffer(SIZE));
    expect(bandwidthSample(stats, host.meter.firstByteMs) / 1e6).toBeCloseTo(20, 0);
  });

  test("a fragment whose leaves are all still with neighbours is not abandoned either", async () => {
    const host = new FakeHost();
    const { stats } = fragment(host);
    await vi.advanceTimersByTimeAsync(4000);
    expect(abandonRule(stats, performance.now()).considered).toBe(false);
  });

  test("a CDN that is slower than the fragment is long is seen while it loads", async () => {
    const host = new FakeHost();
    const { stats } = fragment(host);
    const request = host.transfer.request(performance.now());
    await vi.advanceTimersByTimeAsync(100);
    request.headers(performance.now());
    for (let i = 0; i < 40; i++) {
      request.bytes(2000); // 40 bytes per ms: 320 kb/s
      await vi.advanceTimersByTimeAsync(50);
    }
    const seen = abandonRule(stats, performance.now());
    expect(seen.considered).toBe(true);
    expect(seen.restMs).toBeGreaterThan(3000);
  });

  test("a network that died is seen although nothing arrives", async () => {
    const host = new FakeHost();
    const { stats } = fragment(host);
    host.transfer.request(performance.now());
    await vi.advanceTimersByTimeAsync(3000);
    expect(abandonRule(stats, performance.now()).considered).toBe(true);
    expect(stats.loaded).toBe(0);
  });

  test("a fragment that was fetched ahead tells what its transfer took, not that it was there at once", async () => {
    const host = new FakeHost();
    const request = host.transfer.request(performance.now());
    await vi.advanceTimersByTimeAsync(100);
    request.headers(performance.now());
    await vi.advanceTimersByTimeAsync(900);
    request.bytes(SIZE);
    request.ended(performance.now());
    await vi.advanceTimersByTimeAsync(5000);
    const { stats, heard } = fragment(host);
    host.delivery!.done(new ArrayBuffer(SIZE));
    expect(heard).toEqual(["success"]);
    expect(bandwidthSample(stats, host.meter.firstByteMs) / 1e6).toBeCloseTo(2, 1);
  });
});

describe("fragment loads", () => {
  test("an abort is told once, and what comes later is ignored", () => {
    const host = new FakeHost();
    const { loader, heard, stats } = fragment(host);
    loader.abort();
    host.delivery!.done(new ArrayBuffer(SIZE));
    loader.destroy();
    expect(heard).toEqual(["abort"]);
    expect(stats.aborted).toBe(true);
    expect(host.cancelled).toBe(1);
  });

  test("bytes that nobody signed are an error with a sentence", () => {
    const host = new FakeHost();
    const { heard } = fragment(host);
    host.delivery!.failed(new DeliveryError(0, "The server sent bytes that the channel's owner did not sign."));
    expect(heard).toEqual(["error 502: The server sent bytes that the channel's owner did not sign."]);
  });

  test("one that never comes times out", async () => {
    const { heard } = fragment(new FakeHost());
    await vi.advanceTimersByTimeAsync(20_001);
    expect(heard).toEqual(["timeout"]);
  });

  test("of a stream that is not signed hls.js loads by itself, and bytes are counted", () => {
    const host = new FakeHost();
    host.signed = false;
    class Inner {
      stats = { loaded: 777 } as LoaderStats;
      load(_c: unknown, _l: unknown, callbacks: LoaderCallbacks<LoaderContext>) {
        callbacks.onSuccess({ url: "u" }, this.stats, {} as LoaderContext, null);
      }
    }
    const Loader = fragmentLoader(host);
    const loader = new Loader({ loader: Inner } as unknown as HlsConfig);
    const { heard, callbacks } = listen<FragmentLoaderContext>();
    loader.load({} as FragmentLoaderContext, loaderConfig, callbacks);
    expect(heard).toEqual(["success"]);
    expect(host.plain).toBe(777);
    expect(host.delivery).toBeUndefined();
  });
});

describe("playlist loads", () => {
  const answer = (text: string): Text => ({
    text,
    url: "https://cdn.test/a.m3u8",
    receivedMs: performance.now(),
    age: "3",
  });
  const load = (host: FakeHost, type: string, retries: number) => {
    const Loader = playlistLoader(host);
    const loader = new Loader({} as HlsConfig);
    const { heard, callbacks } = listen<PlaylistLoaderContext>();
    const errorRetry = retries ? { maxNumRetry: retries, retryDelayMs: 1000, maxRetryDelayMs: 1000 } : null;
    const config = { loadPolicy: { ...CONFIG.loadPolicy, errorRetry } } as unknown as LoaderConfiguration;
    loader.load({ url: "u", type } as PlaylistLoaderContext, config, callbacks);
    return { loader, heard, callbacks };
  };

  test("a verified playlist is handed over with the time at which it was polled", async () => {
    const host = new FakeHost();
    const polled = performance.now() - 700;
    host.texts = [() => Promise.resolve({ ...answer("#EXTM3U"), receivedMs: polled })];
    const { loader, heard, callbacks } = load(host, "level", 0);
    await vi.advanceTimersByTimeAsync(1);
    expect(heard).toEqual(["success"]);
    expect((callbacks.onSuccess.mock.calls[0] as unknown[]).slice(0, 2)).toMatchObject([
      { url: "https://cdn.test/a.m3u8", data: "#EXTM3U", code: 200 },
      { loading: { start: polled }, loaded: 7, total: 7 },
    ]);
    expect(loader.getCacheAge?.()).toBe(3);
  });

  test("a refused playlist is a load error with its sentence, and nothing of it is handed over", async () => {
    const host = new FakeHost();
    host.texts = [() => Promise.reject(new ManifestError("replay", "this playlist is a replay", "it is old"))];
    const { heard } = load(host, "level", 0);
    await vi.advanceTimersByTimeAsync(1);
    expect(heard).toEqual(["error 502: this playlist is a replay: it is old"]);
  });

  test("the first playlist is tried again as often as hls.js wants", async () => {
    const host = new FakeHost();
    const fail = () => Promise.reject(new HttpError(503, "busy"));
    host.texts = [fail, fail, () => Promise.resolve(answer("#EXTM3U"))];
    const { heard } = load(host, "manifest", 2);
    await vi.advanceTimersByTimeAsync(2500);
    expect(heard).toEqual(["success"]);
    expect(host.asked).toBe(3);
  });

  test("an aborted load says nothing afterwards, and a destroyed one nothing at all", async () => {
    const host = new FakeHost();
    host.texts = [() => new Promise((resolve) => setTimeout(() => resolve(answer("#EXTM3U")), 500))];
    const aborted = load(host, "level", 0);
    aborted.loader.abort();
    const destroyed = load(host, "level", 0);
    destroyed.loader.destroy();
    await vi.advanceTimersByTimeAsync(1000);
    expect(aborted.heard).toEqual(["abort"]);
    expect(destroyed.heard).toEqual([]);
  });

  test("statuses are kept, because hls.js does not repeat a 404", () => {
    expect(loadError(new HttpError(404, "gone"))).toEqual({ code: 404, text: "gone" });
    expect(loadError(new HttpError(0, "unreachable")).code).toBe(502);
  });

  test("however late a page gets to its first playlist, it begins with a whole segment; of later ones it is told their age", async () => {
    vi.stubGlobal("self", globalThis);
    vi.stubGlobal("location", { href: "https://page.test/" });
    const host = new FakeHost();
    const window = (first: number) => {
      const segments = Array.from({ length: 6 }, (_, i) => `#EXTINF:2.000,\n${first + i}.m4s`);
      return answer(["#EXTM3U", "#EXT-X-TARGETDURATION:2", `#EXT-X-MEDIA-SEQUENCE:${first}`, ...segments].join("\n"));
    };
    await vi.advanceTimersByTimeAsync(1);
    const began = window(10);
    await vi.advanceTimersByTimeAsync(1700); // scripts run, the worker starts, signatures are verified
    const next = window(11);
    host.texts = [answer("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=900000\na.m3u8"), began, next].map((text) => () => Promise.resolve(text));
    const hls = new Hls({ pLoader: playlistLoader(host), fLoader: fragmentLoader(host), startFragPrefetch: true });
    const begins: unknown[] = [];
    hls.on(Hls.Events.FRAG_LOADING, (_, { frag, targetBufferTime }) => void begins.push([frag.sn, frag.start, targetBufferTime]));
    const behind: number[] = [];
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => void behind.push(details.edge - hls.liveSyncPosition!));
    hls.loadSource("https://cdn.test/index.m3u8");
    await vi.advanceTimersByTimeAsync(250);
    expect(begins).toEqual([[13, 6, 6]]); // as plain hls.js: where the third segment from the end begins
    expect(behind).toEqual([6]);
    await vi.advanceTimersByTimeAsync(250);
    expect(behind[1]).toBeCloseTo(5.7, 1); // the playlist that it had asked for after 2 s was 0.3 s old
    hls.destroy();
  });
});
