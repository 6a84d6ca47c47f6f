// Init sections: far too small to share, so each is fetched over HTTP once,
// verified against its record, and kept.

import { bound } from "./bound";
import type { Bytes } from "./bytes";
import type { MediaHttp } from "./media-http";
import { checkObject, ManifestError, type SignedRecord } from "./manifest";
import { deliveryError, type Delivery, type DeliveryError } from "./objects";
import type { Progress, Ticket } from "./session";
import { Transfer, type Clock, type NetworkMeter } from "./timing";

/** Old ones are forgotten; a channel has one for each rendition and run of its encoder. */
const MAX_INITS = 32;

interface Init {
  record: SignedRecord;
  transfer: Transfer;
  bytes?: Promise<Bytes>;
}

export class Inits {
  private readonly byUrl = new Map<string, Init>();

  constructor(
    private readonly http: MediaHttp,
    private readonly clock: Clock,
    private readonly meter: NetworkMeter,
  ) {}

  /** Makes an init section known by its verified record, and fetches it ahead. */
  add(url: string, record: SignedRecord): void {
    if (this.byUrl.has(url)) return;
    const init: Init = { record, transfer: new Transfer(this.meter) };
    this.byUrl.set(url, init);
    bound(this.byUrl, MAX_INITS);
    this.load(url, init).catch(() => undefined); // whoever wants it hears of it
  }

  /** Undefined if the URL is not that of a known init section. */
  deliver(url: string, delivery: Delivery): Ticket | undefined {
    const init = this.byUrl.get(url);
    if (!init) return undefined;
    let cancelled = false;
    this.load(url, init).then(
      (bytes) => {
        if (!cancelled) delivery.done(bytes.slice().buffer);
      },
      (error: unknown) => {
        if (!cancelled) delivery.failed(error as DeliveryError);
      },
    );
    const progress = (): Progress => ({
      loaded: Math.min(init.transfer.loaded, init.record.size),
      total: init.record.size,
      elapsedMs: init.transfer.elapsedMs(this.clock.now()),
      firstByteMs: this.meter.firstByteMs,
    });
    return { progress, cancel: () => (cancelled = true) };
  }

  private load(url: string, init: Init): Promise<Bytes> {
    init.bytes ??= this.fetch(url, init, false)
      .catch((error: unknown) => {
        if (!(error instanceof ManifestError)) throw error;
        return this.fetch(url, init, true); // a cache between us may hold the wrong bytes
      })
      .catch((error: unknown) => {
        init.bytes = undefined; // the next one to ask tries again
        throw deliveryError(error);
      });
    return init.bytes;
  }

  private async fetch(url: string, init: Init, reload: boolean): Promise<Bytes> {
    const watch = init.transfer.request(this.clock.now());
    const check = (bytes: Bytes) => {
      watch.bytes(bytes.length);
      watch.ended(this.clock.now());
      return checkObject(init.record, bytes);
    };
    return this.http.whole(url, init.record.size, "other", check, undefined, reload);
  }
}
