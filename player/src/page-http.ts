// The few playlists that the page itself asks for, at the beginning: fetch.ts, which is patient with a bad network and bounded in
// more ways, is in the worker.

import type { Bytes } from "./bytes";
import { HttpError, LIMIT_MS, type Text } from "./fetch";

export class PageHttp {
  /** What it cost so far. */
  requests = 0;
  bytes = 0;

  /** Gets a playlist. Refuses one beyond limit. */
  async text(url: string, limit: number, init: RequestInit = {}, limitMs = LIMIT_MS): Promise<Text> {
    this.requests++;
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
      if (!value) return { text, url: response.url || url, receivedMs: performance.now(), age: headers.get("age") };
      this.bytes += value.length;
      limit -= value.length;
      if (limit < 0) throw new HttpError(0, `${url} is too long.`);
    }
  }
}
