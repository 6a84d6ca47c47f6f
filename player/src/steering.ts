// Asks the operator in which order the CDNs are to be preferred (Content Steering, RFC 8216bis, section 7).

import type { Choice } from "./choice";
import type { Text } from "./fetch";

// Seconds, until it is asked again: at least, at most, and if it could not be had.
const MIN_TTL = 5;
const MAX_TTL = 3600;
const DEFAULT_TTL = 300;

export class Steering {
  private dueMs = 0;

  constructor(
    private readonly get: (url: string) => Promise<Text>,
    private readonly choice: Choice,
    private readonly names: string[],
    private url: string,
  ) {}

  tick(nowMs: number): void {
    if (nowMs < this.dueMs) return;
    this.dueMs = Infinity;
    void this.ask().then((ttl) => (this.dueMs = nowMs + Math.min(Math.max(ttl, MIN_TTL), MAX_TTL) * 1000));
  }

  private async ask(): Promise<number> {
    try {
      const url = new URL(this.url);
      url.searchParams.set("_HLS_pathway", this.names[this.choice.next()]);
      const said = JSON.parse((await this.get(url.href)).text);
      if (said.VERSION !== 1) return DEFAULT_TTL;
      this.choice.prefer(said["PATHWAY-PRIORITY"]);
      this.url = new URL(said["RELOAD-URI"] ?? this.url, this.url).href;
      return said.TTL || DEFAULT_TTL;
    } catch (error) {
      return (error as { status?: number }).status === 410 ? Infinity : DEFAULT_TTL;
    }
  }
}
