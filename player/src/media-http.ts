// What the core fetches over HTTP: byte ranges that stream, so that leaves are verified as they arrive, small objects whole,
// and playlists; with counters of what everything cost. A request that brings nothing for STALL_MS, or takes longer than its
// size allows, is given up; whoever asked decides what then.

import { concat, type Bytes } from "./bytes";
import { HttpError, LIMIT_MS, type FetchFunction, type HttpCounters, type Text } from "./fetch";

const STALL_MS = 4000;
/** How fast a large request must be. */
const MIN_BYTES_PER_SEC = 64 * 1024;

export interface RangeRequest {
  url: string;
  /** The part wanted: [first, end) of size bytes. */
  first: number;
  end: number;
  size: number;
  signal?: AbortSignal;
  /** Ask past the browser's cache, because what came before was wrong. */
  reload?: boolean;
  onHeaders?: () => void;
  /** Bytes in order. Throwing ends the request. */
  onBytes: (chunk: Bytes) => void | Promise<void>;
}

export class MediaHttp {
  readonly counters: HttpCounters = { requests: { playlist: 0, list: 0, media: 0, other: 0 }, mediaBytes: 0, playlistBytes: 0 };
  /** What was asked for before it was known whether it is wanted. */
  private readonly early = new Map<string, { answer: Promise<Response>; abort: AbortController; atMs: number }>();

  constructor(private readonly ask: FetchFunction = (url, init) => globalThis.fetch(url, init)) {}

  /** Asks for an object whole; whoever wants it within a few seconds takes the answer. */
  ahead(url: string): void {
    const abort = new AbortController();
    const answer = this.ask(url, { signal: abort.signal });
    answer.catch(() => undefined); // told who takes it
    this.early.set(url, { answer, abort, atMs: performance.now() });
    setTimeout(() => this.early.delete(url) && abort.abort(), STALL_MS);
  }

  /** How long ago an object was asked for that nobody has taken yet. */
  aheadMs(url: string): number {
    const early = this.early.get(url);
    return early ? performance.now() - early.atMs : 0;
  }

  /** Gets a small object whole: an init section, a leaf list. */
  async whole(
    url: string,
    limit: number,
    kind: "list" | "other",
    signal?: AbortSignal,
    reload = false,
  ): Promise<Bytes> {
    this.counters.requests[kind]++;
    const parts: Bytes[] = [];
    let length = 0;
    await this.stream(url, reload ? { cache: "reload" } : {}, [200], signal, (chunk) => {
      this.counters.mediaBytes += chunk.length;
      length += chunk.length;
      if (length > limit) throw new HttpError(0, `${url} is longer than ${limit} bytes.`);
      parts.push(chunk);
    });
    return concat(...parts);
  }

  /** Gets a byte range and hands over the bytes as they arrive; all of them, or it throws. */
  async range(r: RangeRequest): Promise<void> {
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
      r.onHeaders?.();
    };
    const take = async (chunk: Bytes): Promise<boolean> => {
      this.counters.mediaBytes += chunk.length;
      const wanted = chunk.subarray(Math.max(0, r.first - at), Math.max(0, r.end - at));
      at += chunk.length;
      if (wanted.length > 0) await r.onBytes(wanted);
      return at < r.end || (at === r.end && !tail);
    };
    // A server that knows no ranges sends all that comes before as well.
    const limitMs = Math.max(LIMIT_MS, (r.end * 1000) / MIN_BYTES_PER_SEC);
    await this.stream(r.url, init, partial ? [206, 200] : [200], r.signal, take, headers, limitMs);
    if (at < r.end) throw new HttpError(0, `${r.url} ended ${r.end - at} bytes early.`);
  }

  /** Gets a playlist, asking the server even if the browser's copy is fresh. Refuses one beyond limit. */
  async text(url: string, limit: number): Promise<Text> {
    const decoder = new TextDecoder();
    let text = "";
    let length = 0;
    this.counters.requests.playlist++;
    const response = await this.stream(url, { cache: "no-cache" }, [200], undefined, (chunk) => {
      this.counters.playlistBytes += chunk.length;
      length += chunk.length;
      if (length > limit) throw new HttpError(0, `${url} is longer than ${limit} bytes.`);
      text += decoder.decode(chunk, { stream: true });
    });
    text += decoder.decode();
    const header = (name: string) => response.headers.get(name);
    return { text, url: response.url || url, receivedMs: performance.now(), header };
  }

  private async stream(
    url: string,
    init: RequestInit,
    statuses: number[],
    signal: AbortSignal | undefined,
    onChunk: (chunk: Bytes) => unknown,
    onHeaders?: (response: Response) => void,
    limitMs = LIMIT_MS,
  ): Promise<Response> {
    const abort = new AbortController();
    const stop = () => abort.abort(signal?.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    const watch = watchdog(limitMs, (why) => abort.abort(new HttpError(0, `${url} ${why}.`)));
    try {
      const response = await this.fetch(url, { ...init, signal: abort.signal });
      watch.feed();
      if (!statuses.includes(response.status)) {
        void response.body?.cancel().catch(() => undefined);
        throw new HttpError(response.status, `${url} answered ${response.status} ${response.statusText}`.trim() + ".");
      }
      onHeaders?.(response);
      const reader = response.body?.getReader();
      for (;;) {
        const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
        if (done || !value) return response;
        watch.feed();
        if ((await onChunk(value as Bytes)) === false) {
          await reader!.cancel();
          return response;
        }
      }
    } catch (error) {
      abort.abort(error);
      if (error instanceof HttpError) throw error;
      if (abort.signal.reason instanceof HttpError) throw abort.signal.reason;
      if (signal?.aborted || !(error instanceof TypeError)) throw error;
      throw new HttpError(0, `${url} could not be reached.`);
    } finally {
      watch.stop();
      signal?.removeEventListener("abort", stop);
    }
  }

  private fetch(url: string, init: RequestInit): Promise<Response> {
    const early = this.early.get(url);
    if (!early || init.headers || init.cache) return this.ask(url, init);
    this.early.delete(url);
    init.signal!.addEventListener("abort", () => early.abort.abort(init.signal!.reason));
    return early.answer;
  }
}

/** Barks when it was not fed for STALL_MS, and in any case when the limit is reached. */
function watchdog(limitMs: number, bark: (why: string) => void) {
  const limit = setTimeout(() => bark(`took longer than ${Math.round(limitMs / 1000)} s`), limitMs);
  let hunger: ReturnType<typeof setTimeout> | undefined;
  const feed = () => {
    clearTimeout(hunger);
    hunger = setTimeout(() => bark(`brought nothing for ${STALL_MS / 1000} s`), STALL_MS);
  };
  const stop = () => {
    clearTimeout(hunger);
    clearTimeout(limit);
  };
  feed();
  return { feed, stop };
}
