// HTTP: byte ranges that stream, so that leaves are verified as they arrive, and
// counters of what that cost. A request that brings nothing for STALL_MS, or takes
// longer than its size allows, is given up; whoever asked decides what then.

import type { Bytes } from "./bytes";

const STALL_MS = 4000;
/** How long any request may take, and how fast a large one must be. */
const LIMIT_MS = 8000;
const MIN_BYTES_PER_SEC = 64 * 1024;

/** Requests to the CDN, by what was asked for. */
export interface Requests {
  playlist: number;
  /** Leaf lists. */
  list: number;
  /** Segments and ranges of segments. */
  media: number;
  /** Init sections. */
  other: number;
}

/** What went over HTTP. Bytes are bytes of bodies. */
export interface HttpCounters {
  requests: Requests;
  mediaBytes: number;
  playlistBytes: number;
}

export class HttpError extends Error {
  constructor(
    /** HTTP status; 0 if there was no answer. */
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = "HttpError";
  }
}

/** The part of fetch that is used, so that tests can stand in for the network. */
export type FetchFunction = (url: string, init: RequestInit) => Promise<Response>;

export interface Text {
  text: string;
  /** The address after redirections: relative URIs are relative to it. */
  url: string;
  /** When it was complete, on the clock of performance.now(). */
  receivedMs: number;
  header: (name: string) => string | null;
}

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

export class Http {
  readonly counters: HttpCounters = {
    requests: { playlist: 0, list: 0, media: 0, other: 0 },
    mediaBytes: 0,
    playlistBytes: 0,
  };

  constructor(private readonly fetchFunction: FetchFunction = (url, init) => globalThis.fetch(url, init)) {}

  /** Gets a playlist, asking the server even if the browser's copy is fresh if so wished. Refuses one beyond limit. */
  async text(url: string, limit: number, options: { revalidate?: boolean; signal?: AbortSignal } = {}): Promise<Text> {
    const chunks: Bytes[] = [];
    let length = 0;
    const init: RequestInit = options.revalidate ? { cache: "no-cache" } : {};
    this.counters.requests.playlist++;
    const response = await this.stream(url, init, [200], options.signal, (chunk) => {
      this.counters.playlistBytes += chunk.length;
      length += chunk.length;
      if (length > limit) throw new HttpError(0, `${url} is longer than ${limit} bytes.`);
      chunks.push(chunk);
    });
    const decoder = new TextDecoder();
    const text = chunks.map((c) => decoder.decode(c, { stream: true })).join("") + decoder.decode();
    const header = (name: string) => response.headers.get(name);
    return { text, url: response.url || url, receivedMs: performance.now(), header };
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
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
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
    const watch = new Watchdog(limitMs, (why) => abort.abort(new HttpError(0, `${url} ${why}.`)));
    try {
      const response = await this.fetchFunction(url, { ...init, signal: abort.signal });
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
}

/** Barks when it was not fed for STALL_MS, and in any case when the limit is reached. */
class Watchdog {
  private hunger: ReturnType<typeof setTimeout> | undefined;
  private readonly limit: ReturnType<typeof setTimeout>;

  constructor(
    limitMs: number,
    private readonly bark: (why: string) => void,
  ) {
    this.limit = setTimeout(() => bark(`took longer than ${Math.round(limitMs / 1000)} s`), limitMs);
    this.feed();
  }

  feed(): void {
    clearTimeout(this.hunger);
    this.hunger = setTimeout(() => this.bark(`brought nothing for ${STALL_MS / 1000} s`), STALL_MS);
  }

  stop(): void {
    clearTimeout(this.hunger);
    clearTimeout(this.limit);
  }
}
