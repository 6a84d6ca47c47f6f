// Honest timings for an adaptive player. A segment that comes from neighbours
// arrives when its deadline allows, not as fast as the network could: time spent
// waiting for a neighbour on purpose is no sign of a slow network, and a segment
// that was fetched before the player asked is no sign of a fast one. So what the
// player is told is derived from transfers: for bytes from the CDN the time that
// they really took, for bytes from neighbours the time that they would have taken
// at the rate that the network was last seen to have.

/** How much transfer time it takes until a measurement counts half. */
const HALF_LIFE_MS = 3000;
/** A request for less tells about latency, not about throughput. */
const MIN_SAMPLE_BYTES = 16 * 1024;
const INITIAL_FIRST_BYTE_MS = 100;
// Leaves that neighbours send in a row show what the network carries at least. A pause ends the row.
const BURST_PAUSE_MS = 100;
const BURST_MS = 250;
/** 5 Mb/s in bytes per ms: assumed until something was measured. */
const ASSUMED_RATE = 625;

/** What is known of the way to the CDN, measured on real requests. */
export class NetworkMeter {
  /** Media bytes received so far, from anywhere: they share the downlink with a request under way. */
  receivedBytes = 0;
  private bytes = 0;
  private ms = 0;
  private firstByte = INITIAL_FIRST_BYTE_MS;
  private burst = { startMs: -Infinity, lastMs: -Infinity, bytes: 0 };

  /** Bytes per ms; undefined before the first measurement. */
  get measuredRate(): number | undefined {
    return this.ms > 0 ? this.bytes / this.ms : undefined;
  }

  get rate(): number {
    return this.measuredRate ?? ASSUMED_RATE;
  }

  /** Typical time from request to first byte, ms. */
  get firstByteMs(): number {
    return this.firstByte;
  }

  /** Bytes came from a neighbour. How fast is up to many uplinks: it can only prove that the network is faster. */
  arrived(bytes: number, nowMs: number): void {
    this.receivedBytes += bytes;
    const { burst } = this;
    if (nowMs - burst.lastMs > BURST_PAUSE_MS) this.burst = { startMs: nowMs, lastMs: nowMs, bytes: 0 };
    else {
      burst.lastMs = nowMs;
      burst.bytes += bytes;
      const elapsedMs = nowMs - burst.startMs;
      if (elapsedMs < BURST_MS) return;
      if (burst.bytes > this.rate * elapsedMs) this.sampleTransfer(burst.bytes, elapsedMs);
      this.burst = { startMs: nowMs, lastMs: nowMs, bytes: 0 };
    }
  }

  /** A request's answer began after so long. Follows the fast ones: the slow ones queued somewhere. */
  sampleFirstByte(ms: number): void {
    this.firstByte = ms < this.firstByte ? ms : this.firstByte + (ms - this.firstByte) / 8;
  }

  /** So many bytes arrived in so many ms, waiting for the first byte not included. */
  sampleTransfer(bytes: number, ms: number): void {
    if (bytes < MIN_SAMPLE_BYTES) return;
    const elapsed = Math.max(ms, 1);
    const keep = 0.5 ** (elapsed / HALF_LIFE_MS);
    this.bytes = this.bytes * keep + bytes;
    this.ms = this.ms * keep + elapsed;
  }
}

interface Request {
  startMs: number;
  firstMs: number;
  endMs: number;
  ownBytes: number;
  receivedBefore: number;
}

/** The transfers of one object. */
export class Transfer {
  private readonly requests: Request[] = [];
  private cdnBytes = 0;
  private peerBytes = 0;

  constructor(private readonly meter: NetworkMeter) {}

  get loaded(): number {
    return this.cdnBytes + this.peerBytes;
  }

  /** A request to the CDN starts; the returned functions tell how it goes. */
  request(nowMs: number): { headers(nowMs: number): void; bytes(n: number): void; ended(nowMs: number): void } {
    const r: Request = { startMs: nowMs, firstMs: 0, endMs: 0, ownBytes: 0, receivedBefore: this.meter.receivedBytes };
    this.requests.push(r);
    return {
      headers: (now) => {
        r.firstMs = now;
        r.receivedBefore = this.meter.receivedBytes;
        this.meter.sampleFirstByte(now - r.startMs);
      },
      bytes: (n) => {
        r.ownBytes += n;
        this.cdnBytes += n;
        this.meter.receivedBytes += n;
      },
      ended: (now) => {
        r.endMs = now;
        const all = this.meter.receivedBytes - r.receivedBefore;
        if (r.ownBytes >= MIN_SAMPLE_BYTES) this.meter.sampleTransfer(all, now - this.countsFrom(r));
      },
    };
  }

  /** Verified bytes came from a neighbour. */
  fromPeer(bytes: number, nowMs: number): void {
    this.peerBytes += bytes;
    this.meter.arrived(bytes, nowMs);
  }

  /** How long the network needed, or would have needed, for what is loaded; waiting for a first byte not included. */
  elapsedMs(nowMs: number): number {
    return this.busyMs(nowMs) + this.peerBytes / this.meter.rate;
  }

  /** The time during which at least one request to the CDN should have been bringing bytes. */
  private busyMs(nowMs: number): number {
    const spans = this.requests
      .map((r) => [this.countsFrom(r), r.endMs || nowMs] as const)
      .sort((a, b) => a[0] - b[0]);
    let sum = 0;
    let until = 0;
    for (const [from, to] of spans) {
      sum += Math.max(0, to - Math.max(from, until));
      until = Math.max(until, to);
    }
    return sum;
  }

  /** A late first byte is slowness; a usual one is latency, which players reckon separately. */
  private countsFrom(r: Request): number {
    const expected = r.startMs + this.meter.firstByteMs;
    return r.firstMs ? Math.min(r.firstMs, expected) : expected;
  }
}

/** The clock of a session: epoch ms that never goes back, and follows the wall clock forward after a sleep. */
export class Clock {
  private offset: number;

  constructor(
    private readonly wall: () => number = Date.now,
    private readonly steady: () => number = () => performance.now(),
  ) {
    this.offset = wall() - steady();
  }

  now(): number {
    const now = this.steady() + this.offset;
    const ahead = this.wall() - now;
    if (ahead > 2000) this.offset += ahead;
    return Math.trunc(this.steady() + this.offset);
  }
}
