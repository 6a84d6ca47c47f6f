// The few playlists that the page itself asks for, at the beginning: fetch.ts, which is patient with a bad network and bounded in
// more ways, is in the worker.

import type { Bytes } from "./bytes";
import { HttpError, LIMIT_MS, type HttpCounters, type Text } from "./fetch";

export class PageHttp {
  readonly counters: HttpCounters = { requests: { playlist: 0, list: 0, media: 0, other: 0 }, mediaBytes: 0, playlistBytes: 0 };

  /** Gets a playlist. Refuses one beyond limit. */
  async text(url: string, limit: number, init: RequestInit = {}, limitMs = LIMIT_MS): Promise<Text> {
    const { counters } = this;
    counters.requests.playlist++;
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(limitMs) }).catch(() => {
      throw new HttpError(0, `${url} could not be reached.`);
    });
    const { status, body, headers } = response;
    if (status !== 200) throw new HttpError(status, `${url} answered ${status}.`);
    const decoder = new TextDecoder();
    const reader = body!.getReader();
    let text = "";
    for (;;) {
      const { value } = await reader.read();
      text += decoder.decode(value as Bytes, { stream: !!value });
      if (!value) return { text, url: response.url || url, receivedMs: performance.now(), header: (name) => headers.get(name) };
      counters.playlistBytes += value.length;
      limit -= value.length;
      if (limit < 0) throw new HttpError(0, `${url} is too long.`);
    }
  }
}
