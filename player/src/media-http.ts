// What the core fetches over HTTP: byte ranges that stream, so that leaves are verified as they arrive, small objects whole,
// and playlists; with counters of what everything cost. A request that brings nothing for STALL_MS, or takes longer than its
// size allows, is given up. Where one CDN fails the next one is asked, for what is left; otherwise whoever asked decides what then.

import { concat, type Bytes } from "./bytes";
import { HttpError, type FetchFunction, type HttpCounters, type Text } from "./fetch";
import { MAX_PLAYLIST_BYTES } from "./manifest";
import type { Place, Several } from "./port";

const STALL_MS = 4000;
/** How fast a large request must be. */
const MIN_BYTES_PER_SEC = 64 * 1024;
/** How many times as long as it is played media may take where there is another CDN to ask. */
const SLACK = 1.5;

export interface RangeRequest {
  url: string;
  /** The part wanted: [first, end) of size bytes. */
  first: number;
  end: number;
  size: number;
  /** Of all of it, when it is played: slower is too slow. */
  durationMs: number;
  signal?: AbortSignal;
  /** Ask past the browser's cache, because what came before was wrong. */
  reload?: boolean;
  onHeaders?: (from: number) => void;
  /** Bytes in order. Throwing ends the request. */
  onBytes: (chunk: Bytes) => void | Promise<void>;
}

export class MediaHttp {
  /** What goes from one CDN to the other, where there are several. */
  cdns: Several | undefined | Promise<Several | undefined>;
  readonly counters: HttpCounters = { requests: { playlist: 0, list: 0, media: 0, other: 0 }, mediaBytes: 0, playlistBytes: 0 };
  /** What was asked for before it was known whether it is wanted, by where it was asked for. */
  private readonly early = new Map<string, { url: string; answer: Promise<Response>; abort: AbortController; atMs: number }>();

  constructor(private readonly fetchFunction: FetchFunction = (url, init) => globalThis.fetch(url, init)) {}

  /** Asks for an object whole, wherever it is asked for now; whoever wants it within a few seconds takes the answer. */
  ahead(url: string, address = url): void {
    const abort = new AbortController();
    const answer = this.fetchFunction(address, { signal: abort.signal });
    answer.catch(() => undefined); // told who takes it
    this.early.set(address, { url, answer, abort, atMs: performance.now() });
    setTimeout(() => this.early.delete(address) && abort.abort(), STALL_MS);
  }

  /** How long ago an object was asked for that nobody has taken yet. */
  aheadMs(url: string): number {
    const early = [...this.early.values()].find((e) => e.url === url);
    return early ? performance.now() - early.atMs : 0;
  }

  /** Gets a media playlist: any; or one that has a place, or waits until it has; or what another CDN than the first has to say. */
  async playlist(url: string, until?: Place, second = false): Promise<Text> {
    const get = (address: string, stallMs: number) => {
      return this.text(until ? waiting(address, until) : address, MAX_PLAYLIST_BYTES, stallMs);
    };
    const cdns = await this.cdns;
    return cdns ? cdns.playlist(url, get, !!until, second) : get(url, STALL_MS);
  }

  /** If it is time to ask whether a CDN is well again. */
  async visit(nowMs: number, url: string, head: number, variant: number | undefined): Promise<void> {
    const get = (address: string, stallMs: number) => this.text(address, MAX_PLAYLIST_BYTES, stallMs);
    (await this.cdns)?.visit(nowMs, url, get, head, variant);
  }

  private async ask<T>(url: string, ask: (address: string, stallMs: number, from: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const cdns = await this.cdns;
    return cdns ? cdns.ask(url, ask, signal) : ask(url, STALL_MS, 0);
  }

  /** Gets a small object whole: an init section, a leaf list. The check throws if it is not what it should be. */
  whole(url: string, limit: number, kind: "list" | "other", check: (bytes: Bytes) => unknown, signal?: AbortSignal, reload = false): Promise<Bytes> {
    const get = async (address: string, stallMs: number) => {
      this.counters.requests[kind]++;
      const parts: Bytes[] = [];
      const take = atMost(limit, address, (chunk) => {
        this.counters.mediaBytes += chunk.length;
        parts.push(chunk);
      });
      await this.stream(address, reload ? { cache: "reload" } : {}, [200], signal, take, stallMs);
      const bytes = concat(...parts);
      await check(bytes);
      return bytes;
    };
    return this.ask(url, get, signal);
  }

  /** Gets a byte range and hands over the bytes as they arrive; all of them, or it throws. */
  async range(r: RangeRequest): Promise<void> {
    let { first } = r;
    const onBytes = (chunk: Bytes) => {
      first += chunk.length;
      return r.onBytes(chunk);
    };
    await this.ask(r.url, (url, stallMs, from) => this.rangeAt({ ...r, url, first, onBytes }, stallMs, from), r.signal);
  }

  private async rangeAt(r: RangeRequest, stallMs: number, from: number): Promise<void> {
    this.counters.requests.media++;
    const partial = r.first > 0 || r.end < r.size;
    const init: RequestInit = partial ? { headers: { Range: `bytes=${r.first}-${r.end - 1}` } } : {};
    if (r.reload) init.cache = "reload";
    let at = r.first;
    let tail = false; // more than was asked for is coming
    const headers = (response: Response) => {
      if (partial && response.status === 200) {
        at = 0; // a server that knows no ranges sends everything
        tail = r.end < r.size;
      }
      r.onHeaders?.(from);
    };
    const take = async (chunk: Bytes): Promise<boolean> => {
      this.counters.mediaBytes += chunk.length;
      const wanted = chunk.subarray(Math.max(0, r.first - at), Math.max(0, r.end - at));
      at += chunk.length;
      if (wanted.length > 0) await r.onBytes(wanted);
      return at < r.end || (at === r.end && !tail);
    };
    // A server that knows no ranges sends all that comes before as well.
    let limitMs = Math.max(2 * stallMs, (r.end * 1000) / MIN_BYTES_PER_SEC);
    if (stallMs < STALL_MS) limitMs = Math.max(stallMs, (r.durationMs * SLACK * (r.end - r.first)) / r.size);
    await this.stream(r.url, init, partial ? [206, 200] : [200], r.signal, take, stallMs, limitMs, headers);
    if (at < r.end) throw new HttpError(0, `${r.url} ended ${r.end - at} bytes early.`);
  }

  /** Gets a playlist, asking the server even if the browser's copy is fresh. Refuses one beyond limit. */
  async text(url: string, limit: number, stallMs = STALL_MS): Promise<Text> {
    const decoder = new TextDecoder();
    let text = "";
    this.counters.requests.playlist++;
    const take = atMost(limit, url, (chunk) => {
      this.counters.playlistBytes += chunk.length;
      text += decoder.decode(chunk, { stream: true });
    });
    const response = await this.stream(url, { cache: "no-cache" }, [200], undefined, take, stallMs);
    text += decoder.decode();
    return { text, url: response.url || url, receivedMs: performance.now(), age: response.headers.get("age") };
  }

  private async stream(
    url: string,
    init: RequestInit,
    statuses: number[],
    signal: AbortSignal | undefined,
    onChunk: (chunk: Bytes) => unknown,
    stallMs: number,
    limitMs = 2 * stallMs,
    onHeaders?: (response: Response) => void,
  ): Promise<Response> {
    const abort = new AbortController();
    const stop = () => abort.abort(signal?.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    const watch = watchdog(stallMs, limitMs, (why) => abort.abort(new HttpError(0, `${url} ${why}.`)));
    try {
      const response = await this.fetch(url, { ...init, signal: abort.signal });
      watch.feed();
      if (!statuses.includes(response.status)) {
        void response.body?.cancel().catch(() => undefined);
        throw new HttpError(response.status, `${url} answered ${response.status}.`);
      }
      onHeaders?.(response);
      const reader = response.body?.getReader();
      for (;;) {
        const value = (await reader?.read())?.value;
        if (!value) return response;
        watch.feed();
        if ((await onChunk(value as Bytes)) === false) return await reader!.cancel().then(() => response);
      }
    } catch (error) {
      abort.abort(error);
      const { reason } = abort.signal; // of two errors the first
      if (reason instanceof HttpError) throw reason;
      if (signal?.aborted || !(error instanceof TypeError)) throw error;
      throw new HttpError(0, `${url} could not be reached.`);
    } finally {
      watch.stop();
      signal?.removeEventListener("abort", stop);
    }
  }

  private fetch(url: string, init: RequestInit): Promise<Response> {
    const early = this.early.get(url);
    if (!early || init.headers || init.cache) return this.fetchFunction(url, init);
    this.early.delete(url);
    init.signal!.addEventListener("abort", () => early.abort.abort(init.signal!.reason));
    return early.answer;
  }
}

/** Takes chunks until they are more than the limit. */
function atMost(limit: number, url: string, take: (chunk: Bytes) => void) {
  let length = 0;
  return (chunk: Bytes) => {
    take(chunk);
    length += chunk.length;
    if (length > limit) throw new HttpError(0, `${url} is longer than ${limit} bytes.`);
  };
}

/** Barks when it was not fed for a while, and in any case when the limit is reached. */
function watchdog(stallMs: number, limitMs: number, bark: (why: string) => void) {
  const limit = setTimeout(() => bark(`took longer than ${Math.round(limitMs / 1000)} s`), limitMs);
  let hunger: ReturnType<typeof setTimeout> | undefined;
  const feed = () => {
    clearTimeout(hunger);
    hunger = setTimeout(() => bark(`brought nothing for ${stallMs / 1000} s`), stallMs);
  };
  const stop = () => {
    clearTimeout(hunger);
    clearTimeout(limit);
  };
  feed();
  return { feed, stop };
}

/** The address of a playlist that has a part, or waits until it has. */
function waiting(url: string, { number, part }: Place): string {
  const address = new URL(url);
  address.searchParams.set("_HLS_msn", `${number}`);
  if (part !== undefined) address.searchParams.set("_HLS_part", `${part}`);
  return address.href;
}
