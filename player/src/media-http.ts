// Media over HTTP: byte ranges that stream, so that leaves are verified as they arrive, and
// small objects whole.

import { concat, type Bytes } from "./bytes";
import { Http, HttpError, LIMIT_MS } from "./fetch";

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

export class MediaHttp extends Http {
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
}
