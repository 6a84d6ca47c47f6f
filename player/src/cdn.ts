// Runs the scheduler's fetches: leaves of a segment over HTTP. The CDN is trusted
// no more than a neighbour. A whole segment that nobody waits for is checked
// against its root when it is complete; anything else is checked leaf by leaf as
// it arrives, for which the leaf list is fetched at the same time.

import type { Bytes } from "./bytes";
import type { MediaHttp } from "./media-http";
import { HASH_SIZE, LEAF_SIZE, leafLength, parseLeaves } from "./manifest";
import { deliveryError, DeliveryError, UNSIGNED, type Carried } from "./objects";
import { blames, type Outcome, type Store } from "./store";
import type { Clock } from "./timing";

export interface CdnHost {
  /** Whether neighbours could use the leaves of a segment before it is complete. */
  inCompany(): boolean;
  stored(o: Carried, leaf: number): void;
  rejected(o: Carried): void;
  ended(o: Carried, first: number, last: number, bytes: number, elapsedMs: number, error?: DeliveryError): void;
}

export class Cdn {
  private readonly abort = new AbortController();

  constructor(
    private readonly http: MediaHttp,
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly host: CdnHost,
  ) {}

  /** Fetches leaves first to last; host.ended is called in any case. */
  async fetch(o: Carried, first: number, last: number): Promise<void> {
    const began = this.clock.now() - Math.trunc(this.http.aheadMs(o.url));
    const watch = o.transfer.request(began);
    let from = 0;
    const headers = (cdn: number) => {
      from = cdn;
      watch.headers(this.clock.now());
    };
    let bytes = 0;
    const count = (n: number) => {
      bytes += n;
      watch.bytes(n);
    };
    let error: DeliveryError | undefined;
    try {
      const whole = first === 0 && last === o.leaves - 1;
      if (whole && !this.store.listed(o.key) && !this.host.inCompany()) await this.fetchWhole(o, headers, count);
      else await this.fetchLeaves(o, first, last, headers, count);
    } catch (e) {
      if (this.abort.signal.aborted) return;
      error = deliveryError(e);
      if (error.unsigned) (await this.http.cdns)?.blame(from);
    }
    const now = this.clock.now();
    watch.ended(now);
    this.host.ended(o, first, last, bytes, now - began, error);
  }

  stop(): void {
    this.abort.abort();
  }

  private async fetchWhole(o: Carried, headers: (from: number) => void, count: (n: number) => void): Promise<void> {
    const data = new Uint8Array(o.record.size);
    let at = 0;
    await this.range(o, 0, o.record.size, headers, (chunk) => {
      data.set(chunk, at);
      at += chunk.length;
      count(chunk.length);
    });
    const outcome = await this.store.putObject(o.key, data);
    this.judge(o, outcome);
    if (outcome === "stored") for (let leaf = 0; leaf < o.leaves; leaf++) this.host.stored(o, leaf);
  }

  private async fetchLeaves(
    o: Carried,
    first: number,
    last: number,
    headers: (from: number) => void,
    count: (n: number) => void,
  ): Promise<void> {
    const list = this.store.listed(o.key) ? Promise.resolve() : this.leafList(o);
    list.catch(() => undefined); // told where it is awaited
    const assembler = new Assembler(o.record.size, first);
    const checks: Promise<void>[] = [];
    await this.range(o, first * LEAF_SIZE, Math.min((last + 1) * LEAF_SIZE, o.record.size), headers, async (chunk) => {
      count(chunk.length);
      for (const [leaf, data] of assembler.push(chunk)) {
        await list; // reading stops meanwhile, which bounds what waits
        const check = this.take(o, leaf, data);
        check.catch(() => undefined);
        checks.push(check);
      }
    });
    await Promise.all(checks);
  }

  private async take(o: Carried, leaf: number, data: Bytes): Promise<void> {
    const outcome = await this.store.putLeaf(o.key, leaf, data);
    this.judge(o, outcome);
    if (outcome === "stored") this.host.stored(o, leaf);
  }

  private judge(o: Carried, outcome: Outcome): void {
    if (!blames(outcome)) return;
    this.host.rejected(o);
    throw unsigned();
  }

  /** The leaf list from the CDN, once at a time; a neighbour's may come first. */
  private leafList(o: Carried): Promise<void> {
    const take = (bytes: Bytes) => {
      if (this.store.listed(o.key)) return;
      if (blames(this.store.putLeaves(o.key, parseLeaves(bytes)))) throw unsigned();
    };
    o.list ??= this.http
      .whole(leafListUrl(o.url), o.leaves * HASH_SIZE, "list", take, this.abort.signal, o.failures > 0)
      .then(() => undefined)
      .catch((error: unknown) => {
        if (!this.store.listed(o.key)) throw error; // otherwise a neighbour's list came meanwhile
      })
      .finally(() => {
        o.list = undefined;
      });
    return o.list;
  }

  private range(
    o: Carried,
    first: number,
    end: number,
    onHeaders: (from: number) => void,
    onBytes: (chunk: Bytes) => void | Promise<void>,
  ): Promise<void> {
    return this.http.range({
      url: o.url,
      first,
      end,
      size: o.record.size,
      durationMs: o.record.durationMs,
      signal: this.abort.signal,
      reload: o.trouble?.unsigned, // a cache between us may hold the wrong bytes
      onHeaders,
      onBytes,
    });
  }
}

/** Beside the segment; a token behind a question mark stays where it is. */
export function leafListUrl(url: string): string {
  const end = url.search(/[?#]|$/);
  return `${url.slice(0, end)}.leaves${url.slice(end)}`;
}

function unsigned(): DeliveryError {
  return new DeliveryError(0, UNSIGNED, true);
}

/** Cuts a stream of bytes into leaves. */
class Assembler {
  private current: Bytes;
  private filled = 0;

  constructor(
    private readonly size: number,
    private leaf: number,
  ) {
    this.current = new Uint8Array(leafLength(size, leaf));
  }

  push(chunk: Bytes): [number, Bytes][] {
    const complete: [number, Bytes][] = [];
    for (let at = 0; at < chunk.length && this.current.length > 0; ) {
      const n = Math.min(chunk.length - at, this.current.length - this.filled);
      this.current.set(chunk.subarray(at, at + n), this.filled);
      this.filled += n;
      at += n;
      if (this.filled < this.current.length) break;
      complete.push([this.leaf++, this.current]);
      this.current = new Uint8Array(leafLength(this.size, this.leaf));
      this.filled = 0;
    }
    return complete;
  }
}
