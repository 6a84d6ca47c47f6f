// HTTP: playlists, and counters of what everything cost. A request that brings nothing for
// STALL_MS, or takes longer than its size allows, is given up; whoever asked decides what
// then. What only the core fetches is in media-http.ts.

import type { Bytes } from "./bytes";

const STALL_MS = 4000;
/** How long any request may take. */
export const LIMIT_MS = 8000;

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

  protected async stream(
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
