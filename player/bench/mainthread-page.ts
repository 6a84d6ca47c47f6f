// What runs in the pages of mainthread.mjs: the library, and in place of hls.js and the
// video element as little as will do. It loads playlists and segments by the library's
// loaders as hls.js would, and shows nothing, so that all that the main thread does is
// the library's work.

import type Hls from "hls.js";
import type { FragmentLoaderContext, HlsConfig, Loader, LoaderConfiguration, LoaderContext } from "hls.js";
import { SlipstreamEngine } from "../src/slipstream";

const SEGMENT_S = 2;
const LOAD_CONFIG = { loadPolicy: { maxTimeToFirstByteMs: 10_000, maxLoadTimeMs: 20_000, timeoutRetry: null, errorRetry: null } };

class Picture extends EventTarget {
  paused = false;
  ended = false;
  seeking = false;
  readyState = 4;
  playbackRate = 1;
  /** Media time at this moment of performance.now(). */
  private beganAt = 0;
  private beganMs = 0;
  bufferedTo = 0;

  get currentTime(): number {
    return this.beganMs ? Math.min(this.beganAt + (performance.now() - this.beganMs) / 1000, this.bufferedTo) : 0;
  }

  get buffered() {
    const { beganAt, bufferedTo } = this;
    return { length: bufferedTo ? 1 : 0, start: () => beganAt, end: () => bufferedTo };
  }

  got(start: number): void {
    this.bufferedTo = Math.max(this.bufferedTo, start + SEGMENT_S);
    if (this.beganMs) return;
    this.beganAt = start;
    this.beganMs = performance.now();
    this.dispatchEvent(new Event("playing"));
  }
}

const parameters = new URL(location.href).searchParams;
const engine = new SlipstreamEngine({ channel: parameters.get("channel")!, p2p: parameters.get("p2p") !== "off" });
const config = engine.hlsConfig() as HlsConfig;
const picture = new Picture();
const listeners = new Map<string, (event: string, data: unknown) => void>();
const fragments: { sn: number; level: number; start: number; duration: number; programDateTime: number }[] = [];
const hls = {
  levels: [] as { url: string[] }[],
  loadLevel: 0,
  latestLevelDetails: { fragments },
  on: (event: string, listener: (event: string, data: unknown) => void) => void listeners.set(event, listener),
};
let deliveredBytes = 0;
let failures = 0;

function load(type: "playlist" | "fragment", context: object): Promise<ArrayBuffer | string> {
  const Class = (type === "playlist" ? config.pLoader : config.fLoader) as unknown as new (c: HlsConfig) => Loader<LoaderContext>;
  const loader = new Class(config);
  return new Promise((resolve, reject) => {
    loader.load(context as FragmentLoaderContext, LOAD_CONFIG as unknown as LoaderConfiguration, {
      onSuccess: (response) => resolve(response.data as ArrayBuffer | string),
      onError: (error) => reject(new Error(error.text)),
      onTimeout: () => reject(new Error("it took too long")),
    });
  });
}

/** One segment after the other, as hls.js does. */
let line: Promise<void> = Promise.resolve();
let newest = 0;

async function fetchSegment(url: string, sn: number, programDateTime: number): Promise<void> {
  const bytes = (await load("fragment", { url, responseType: "arraybuffer" })) as ArrayBuffer;
  deliveredBytes += bytes.byteLength;
  const start = sn * SEGMENT_S;
  fragments.push({ sn, level: 0, start, duration: SEGMENT_S, programDateTime });
  if (fragments.length > 30) fragments.shift();
  picture.got(start);
}

async function play(): Promise<void> {
  const base = new URL("/live/demo/", location.href).href;
  engine.attach(hls as unknown as Hls);
  listeners.get("hlsMediaAttached")?.("hlsMediaAttached", { media: picture });
  await load("playlist", { url: `${base}index.m3u8`, type: "manifest" });
  hls.levels.push({ url: [`${base}360p/index.m3u8`] });
  for (;;) {
    const text = (await load("playlist", { url: `${base}360p/index.m3u8`, type: "level" })) as string;
    const first = Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)![1]);
    const dates = [...text.matchAll(/DATE-TIME:(.*)/g)].map(([, date]) => Date.parse(date));
    const urls = text.split("\n").filter((l) => l.endsWith(".m4s"));
    newest ||= first + urls.length - 4;
    urls.forEach((url, i) => {
      if (first + i <= newest) return;
      newest = first + i;
      line = line.then(() => fetchSegment(url, first + i, dates[i])).catch(() => void failures++);
    });
  }
}

void play();
Object.assign(globalThis, { counts: () => ({ ...engine.stats, deliveredBytes, failures }) });
